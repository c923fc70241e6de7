"""The site of the documentation, for mkdocs: files of the repository where they are, and the pages that are made.

The tree of the site is that of the repository, so a relative link works on both. Made pages (each method, the command
line, the gallery of results) exist on the site only; README.md and the other documents do not link to them.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, normpath
from typing import Any

from commands_page import commands_page
from gallery_page import gallery_page
from life_drawing import drawing
from method_pages import method_page, methods_by_family
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = (
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "Dockerfile", "prunebench.def",
    "methods/README.md", "slurm/README.md", "docs/**/*",
    "benchmark/perf/*.md", "results/published/*", "results/reference/*/*.*",
)  # fmt: skip
"""The files of the repository that the site has; of folders only what lies in them directly."""

OPTIONAL = ("docs/leaderboard.md",)
"""Pages of the navigation that are left out while there is no such file."""

GALLERY = "results/reference/README.md"
DRAWN = re.compile(r"<!-- order -->\n```\n.*?```", re.DOTALL)
"""What is drawn on the site; on GitHub it is read as text."""
TABLE = re.compile(r"results/reference/.*/(?!README)[\w-]+\.md")
COMMENT = re.compile(r"^(```.*?^```|(?: {4}.*\n?)+)|<!--.*?-->", re.DOTALL | re.MULTILINE)
DIRECTORY = re.compile(r"\]\(([./\w-]*?)/?\)")
NAMED = re.compile(r"^\| `(\w+)`( \?)? \|", re.MULTILINE)


def repository_files() -> list[str]:
    """Paths of the documents and their figures, from the root."""
    found = {path for pattern in PATTERNS for path in ROOT.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def made_pages() -> dict[str, str]:
    """The text of each page that is made, by its path."""
    methods = {f"methods/{name}.md": method_page(name) for names in methods_by_family().values() for name in names}
    return {**methods, "docs/commands.md": commands_page(), GALLERY: gallery_page(ROOT)}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the navigation: methods by family, optional pages that are there, documents that it does not name."""
    config.nav = navigation = _filled(config.nav)
    named = repr(navigation)
    reference = navigation[-1]["Reference"]
    for path in sorted(ROOT.glob("docs/*.md")):
        title = path.read_text(encoding="utf-8").split("\n", 1)[0]
        if f"docs/{path.name}" not in named and title.startswith("# "):  # without a title it is a part of another one
            reference.append({title.removeprefix("# "): f"docs/{path.name}"})
    return config


def _filled(entries: Any) -> list[Any]:
    filled = list[Any]()
    for entry in entries:
        ((title, where),) = entry.items()
        if where == "MADE":
            where = [
                {family: [f"methods/{name}.md" for name in names]} for family, names in methods_by_family().items()
            ]
        elif isinstance(where, list):
            where = _filled(where)
        elif where in OPTIONAL and not (ROOT / where).exists():
            continue
        filled.append({title: where})
    return filled


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Everything where the repository has it, in place of what mkdocs found in its folder."""
    of_theme = [file for file in files if file.src_dir != config.docs_dir]
    copied = [File.generated(config, path, abs_src_path=str(ROOT / path)) for path in repository_files()]
    made = [File.generated(config, path, content=text) for path, text in made_pages().items()]
    return Files([*of_theme, *copied, *made])


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Comments go, which are marks of scripts; folders become their pages, methods links, and the drawing is put in."""
    here = page.file.src_uri
    if TABLE.fullmatch(here):
        page.meta["search"] = {"exclude": True}  # numbers, which nobody looks for by words
    text = DRAWN.sub(lambda _: drawing(), markdown)
    text = COMMENT.sub(lambda match: match[1] or "", text)
    text = DIRECTORY.sub(lambda match: _to_page(match, here), text)
    if here == "README.md":
        text = NAMED.sub(r"| [`\1`](methods/\1.md)\2 |", text)
    return text


def _to_page(match: re.Match[str], here: str) -> str:
    folder = normpath(f"{dirname(here)}/{match[1]}").lstrip("/")
    is_page = (ROOT / folder).is_dir() and match[1] != ""
    return f"]({match[1]}/README.md)" if is_page else match[0]
