"""The leaderboard in a browser: it needs no network, filters, sorts, and opens rows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
import yaml
from boards import results_of
from browser import INSTALL, Page, browser, executable
from prunebench.benchmark.leaderboard.collect import Collected, collect
from prunebench.benchmark.leaderboard.page import html_page, publish
from prunebench.benchmark.leaderboard.schema import Published
from prunebench.benchmark.leaderboard.settings import settings_of
from prunebench.benchmark.leaderboard.table import leader_table
from synthetic_results import STUDY

pytestmark = pytest.mark.skipif(executable() is None, reason=f"needs a browser: {INSTALL}")
REFERENCE = Path(__file__).parents[2] / "results" / "reference"
EVIL = "</script><script>throw 1</script><img src=x onerror=alert(1)>"
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SHOWN = "[...document.querySelectorAll('.board:not([hidden]) figure tbody tr:not([hidden]):not(.reference) th')]"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The leaderboard of the committed results."""
    target = tmp_path_factory.mktemp("board") / "out"
    with mock.patch.object(os, "fsync"):  # of a thousand files it would only take time here
        publish(collect([REFERENCE]), target)
    return target / "index.html"


def show(page: Page, path: Path) -> None:
    page.requests.clear()
    page.problems.clear()
    page.open(path)


def write(folder: Path, results: list[Published]) -> Path:
    made = [leader_table(setting) for setting in settings_of(results)]
    path = folder / "index.html"
    path.write_text(html_page(made, Collected(results=results)), encoding="utf-8")
    return path


def choose(page: Page, name: str, value: str) -> None:
    """Set a control as a user does."""
    page.run(
        f"(() => {{ const control = document.getElementById({name!r}); control.value = {value!r};"
        " control.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )


def labels(page: Page) -> list[str]:
    return page.run(f"{SHOWN}.map(cell => cell.textContent)")


def open_row(page: Page, label: str) -> None:
    page.run(f"[...document.querySelectorAll('.open-row')].find(e => e.textContent === {label!r}).click()")


def text(page: Page, selector: str) -> str:
    return page.run(f"document.querySelector({selector!r}).textContent")


def test_it_opens_without_a_network_and_without_complaints(page: Page, board: Path) -> None:
    show(page, board)
    assert [url.split(":")[0] for url in page.requests] == ["file"]
    assert page.problems == []
    assert len(labels(page)) > 60
    assert page.run("document.querySelectorAll('figure.table').length") == page.run("DATA.tables.length")
    sentence = "Two rows stand in one table only if they have the same data"
    assert sentence in text(page, "#reading")


def test_filters_by_track_family_year_place_and_words(page: Page, board: Path) -> None:
    show(page, board)
    every = len(labels(page))
    choose(page, "family", "dynamic")
    shown = labels(page)
    assert "SET" in shown
    assert "SNIP" not in shown
    choose(page, "to-year", "2018")
    assert labels(page) == ["SET"]
    assert text(page, "#shown").startswith("1 of ")
    # the dense row stays beside it, other tables are gone
    assert page.run("document.querySelectorAll('.board:not([hidden]) tbody tr:not([hidden])').length") == 2
    page.run("document.querySelector('#filter-controls button').click()")
    page.run("new Promise(done => setTimeout(done, 20))")
    assert len(labels(page)) == every
    choose(page, "track", "structured")
    assert {"Filter L1", "2:4 magnitude"} <= set(labels(page))
    choose(page, "place", "MobileNet-V2 (width = 0.25) on CIFAR-10, JPEG copy")
    assert labels(page) == []
    assert not page.run("document.getElementById('nothing').hidden")
    choose(page, "track", "")
    choose(page, "words", "0.02% global")
    assert labels(page) == ["Global MP + MT 0.02%"]
    assert page.problems == []


def test_columns_sort_and_rows_keep_their_own_data(page: Page, board: Path) -> None:
    show(page, board)
    first = "document.querySelector('#board-0 thead th:nth-child(3)')"
    page.run(f"{first}.click()")
    page.run(f"{first}.click()")
    assert page.run(f"{first}.ariaSort") == "descending"
    cells = "[...document.querySelectorAll('#board-0 tbody tr')].map(row => row.cells[2].dataset.value)"
    values = page.run(f"{cells}.filter(Boolean).map(Number)")
    assert values == sorted(values, reverse=True)
    open_row(page, "SNIP")
    assert text(page, ".opened h3") == "SNIP"
    assert "SNIP (snip, version 1)" in text(page, ".opened .facts")


def test_a_row_opens_its_runs_study_and_commands(page: Page, board: Path, tmp_path: Path) -> None:
    show(page, board)
    open_row(page, "Global MP (gradual)")
    assert page.run("document.querySelector('tr.chosen .open-row').ariaExpanded") == "true"
    assert page.run("document.activeElement.textContent") == "Global MP (gradual)"
    assert page.run("document.querySelectorAll('.opened .scroll tbody tr').length") == 9
    link = page.run("document.querySelector('.opened .scroll tbody a').getAttribute('href')")
    assert (board.parent / link).is_file()
    study = yaml.safe_load(text(page, ".study-file"))
    (entry,) = study["runs"]
    assert (entry["method"], entry["label"]) == ("global_mp", "Global MP (gradual)")
    assert entry["sparsity"] == [0.9, 0.95, 0.98]
    name = f"{study['name']}.yaml"
    assert text(page, ".commands").splitlines() == [f"prunebench {verb} {name}" for verb in ("prepare", "run", "table")]
    assert text(page, ".opened button:not(.sort)") == "Close"
    page.run("document.querySelector('.opened button').click()")
    assert page.run("document.querySelectorAll('.opened h3, tr.chosen').length") == 0
    assert page.run("document.activeElement.textContent") == "Global MP (gradual)"
    assert page.problems == []


def test_a_failed_run_is_named_where_its_row_opens(page: Page, tmp_path: Path) -> None:
    results = results_of(tmp_path, accuracy=lambda run: None if (run.method, run.seed) == ("snip", 1) else 0.9)
    show(page, write(tmp_path, results))
    open_row(page, "SNIP")
    assert "failed: Diverged: loss is nan" in text(page, ".opened .scroll")
    assert "×" in text(page, "#board-1")


def test_hostile_names_stay_text(page: Page, tmp_path: Path) -> None:
    results = [
        each.model_copy(update={"label": EVIL, "method": each.method.model_copy(update={"paper": EVIL})})
        if each.label == "SNIP" else each
        for each in results_of(tmp_path)
    ]  # fmt: skip
    show(page, write(tmp_path, results))
    open_row(page, f"{EVIL} (SNIP)")
    assert EVIL in text(page, ".opened > div")
    assert page.run("document.images.length") == 0
    assert page.problems == []


CONTRAST = """(() => {
  const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number)
    .map((part) => part / 255).map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const ratio = (element) => {
    const ink = light(getComputedStyle(element).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  };
  return [paper, Math.min(...[...document.querySelectorAll('h1, h2, p, a, dt, dd, td, th, button, pre')].map(ratio))];
})()"""


@contextmanager
def viewed(page: Page, width: int, scheme: str) -> Iterator[None]:
    """The page on a screen of this width, by a reader who wants this colour scheme."""
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    yield
    page.call("Emulation.setEmulatedMedia", features=[])
    page.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_read_on_a_phone_and_in_the_dark(page: Page, board: Path, width: int, scheme: str) -> None:
    with viewed(page, width, scheme):
        show(page, board)
        assert page.run(SIDEWAYS) == 0
        open_row(page, "SNIP")
        assert page.run(SIDEWAYS) == 0
        paper, contrast = page.run(CONTRAST)
        assert (paper < 0.05) is (scheme == "dark")
        assert contrast >= 4.5
        # names of rows stay in view beside the numbers, which scroll
        assert page.run("document.querySelector('#board-0 tbody th').getBoundingClientRect().width") > 60
        assert page.problems == []


def test_tables_controls_and_regions_have_names(page: Page, board: Path) -> None:
    show(page, board)
    open_row(page, "SNIP")
    for mark in ("header", "main", "footer"):
        assert page.run(f"document.querySelectorAll({mark!r}).length") == 1, mark
    unnamed = {
        "tables": "[...document.querySelectorAll('table')].filter(table => !table.caption)",
        "headings": "[...document.querySelectorAll('th')].filter(cell => !cell.scope)",
        "controls": "[...document.querySelectorAll('select, input')].filter(control => !control.labels.length)",
        "regions": "[...document.querySelectorAll('[role=region]')].filter(part => !part.ariaLabel)",
        "sections": "[...document.querySelectorAll('main section')]"
        ".filter(part => !document.getElementById(part.getAttribute('aria-labelledby')))",
    }
    for what, found in unnamed.items():
        assert page.run(f"{found}.length") == 0, what


def test_a_row_opens_by_the_keyboard(page: Page, board: Path) -> None:
    show(page, board)
    page.run("document.querySelector('.open-row').focus()")
    for kind in ("rawKeyDown", "char", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    assert page.run("document.querySelectorAll('.opened h3').length") == 1


def test_fifteen_hundred_results_open_in_two_seconds(page: Page, tmp_path: Path) -> None:
    thresholds = [round(0.01 * number, 2) for number in range(1, 26)]
    text = STUDY.split("runs:")[0].replace("[0, 1, 2]", str(list(range(12)))) + (
        "runs:\n  - {method: global_mp, sparsity: [50%, 80%, 90%, 95%, 98%],"
        f" grid: {{minimum_threshold: {thresholds}}}}}\n"
    )
    few = results_of(tmp_path / "few", text.replace(str(list(range(12))), "[0]"))
    results = [
        each.model_copy(update={"id": f"{seed:04x}{each.id[4:]}", "run": {**each.run, "seed": seed}})
        for seed in range(12) for each in few if each.method.name != "dense"
    ]  # fmt: skip
    assert len(results) == 1500
    show(page, write(tmp_path, results))
    page.call("Performance.disable")
    page.call("Performance.enable", timeDomain="threadTicks")
    page.open(tmp_path / "index.html")
    metrics = {metric["name"]: metric["value"] for metric in page.call("Performance.getMetrics")["metrics"]}
    assert metrics["TaskDuration"] < 2
    assert page.run("document.querySelectorAll('.open-row').length") == 25
    open_row(page, "Global MP (minimum_threshold=0.01)")
    assert page.run("document.querySelectorAll('.opened .scroll tbody tr').length") == 60
    assert page.problems == []


def test_results_are_beside_the_page_as_links_only(board: Path, page: Page, tmp_path: Path) -> None:
    """The page alone shows everything; the files are needed only by a reader who opens them."""
    shutil.copy(board, tmp_path / "index.html")
    show(page, tmp_path / "index.html")
    open_row(page, "SNIP")
    assert [url.split(":")[0] for url in page.requests] == ["file"]
    assert page.problems == []
