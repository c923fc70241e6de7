"""The built site: no warning, every link and anchor leads somewhere, and a browser needs no other host for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import INSTALL, Page, browser, executable
from prunebench.benchmark.cli.commands import app
from prunebench.methods import METHODS
from rooms import ROOT

sys.path.insert(0, str(ROOT / "tools"))

needs_browser = pytest.mark.skipif(executable() is None, reason=f"needs a browser: {INSTALL}")
COMMITTED = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "methods/README.md", ROOT / "slurm/README.md",
             *ROOT.glob("results/reference/*/README.md")]  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


class Links(HTMLParser):
    """What a page refers to, what it loads, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.loads, self.places = list[str](), list[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.places |= {value for key in ("id", "name") if (value := found.get(key))}
        if tag == "a" and (link := found.get("href")):
            self.links.append(link)
        elif loaded := found.get("src") or (found.get("href") if tag == "link" else None):
            self.loads.append(loaded)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_link_and_every_anchor_leads_somewhere(pages: dict[Path, Links]) -> None:
    lost = list[str]()
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in pages[target].places):
                lost.append(f"{path}: {link}")
    assert lost == []


def test_no_page_loads_anything_from_another_host(pages: dict[Path, Links]) -> None:
    assert {link for page in pages.values() for link in page.loads if urlsplit(link).netloc} == set()


def test_every_method_command_and_document_has_a_page(site: Path, pages: dict[Path, Links]) -> None:
    assert {path.stem for path in (site / "methods").glob("*.html")} == {*METHODS, "index"}
    assert set(app.commands) <= pages[site / "docs" / "commands.html"].places
    for path in COMMITTED:
        name = path.relative_to(ROOT).with_suffix(".html")
        assert (site / (name.with_name("index.html") if path.name == "README.md" else name)).exists(), path
        assert path.parent.name != "docs" or is_part(path) or str(name) in pages[site / "index.html"].links, path
    home = (site / "index.html").read_text(encoding="utf-8")
    assert "<!-- value" not in home
    assert 'href="methods/snip.html"' in home


def is_part(path: Path) -> bool:
    """A table that another document holds."""
    return not path.read_text(encoding="utf-8").startswith("# ")


def headings(text: str) -> set[str]:
    """Anchors that GitHub makes of the headings."""
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_anchors_of_committed_documents_exist_on_github_too() -> None:
    lost = list[str]()
    for path in COMMITTED:
        for link, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", path.read_text(encoding="utf-8")):
            target = path.parent / link if link else path
            if not target.exists() or anchor not in headings(target.read_text(encoding="utf-8")):
                lost.append(f"{path.relative_to(ROOT)}: {link}#{anchor}")
    assert lost == []


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_need_no_other_host(page: Page, site: Path, scheme: str) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=False)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    shown = {"light": "default", "dark": "slate"}[scheme]
    for name in ("index", "docs/life", "docs/commands", "methods/rigl", "results/reference/zoo-fashion/sorted"):
        page.open(site / f"{name}.html")
        page.run("localStorage.clear()")
        page.open(site / f"{name}.html")
        assert page.run("document.body.dataset.mdColorScheme") == shown
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), name
    assert {url.split(":")[0] for url in page.requests} <= {"file", "data", "blob"}
    assert page.problems == []


@needs_browser
def test_search_finds_a_method_without_a_server(page: Page, site: Path) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    page.open(site / "index.html")
    found = page.run(
        """new Promise((resolve, reject) => {
            const field = document.querySelector(".md-search__input")
            field.focus()
            field.value = "SynFlow"
            field.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true }))
            const end = Date.now() + 50000
            const look = () => {
                const links = [...document.querySelectorAll(".md-search-result__link")].map(each => each.href)
                if (links.length) resolve(links)
                else if (Date.now() > end) reject("nothing was found")
                else setTimeout(look, 50)
            }
            look()
        })"""
    )
    assert any("methods/synflow.html" in link for link in found)
