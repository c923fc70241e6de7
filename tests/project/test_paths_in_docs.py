"""The files, modules and commands that the documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prunebench.benchmark.cli.commands import app
from rooms import MODULES, ROOT

FOLDERS = ("api", "benchmark", "methods", "datasets", "slurm", "tests", "tools", "docs", "results/published",
           "results/reference")  # fmt: skip
COMING = {"docs/evidence.md"}
HISTORY = {"CHANGELOG.md"}  # names files by their names at that time
DOCUMENTS = sorted(
    path
    for folder in (".", *FOLDERS)
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
    if path.name not in HISTORY
)
SOURCE_NAMES = {path.name for path in MODULES.values()} | {path.name for path in (ROOT / "tests").rglob("*.py")}


def missing(path: Path) -> set[str]:
    """What a document names and the project lacks; a path with a word in capitals is a pattern."""
    text = path.read_text(encoding="utf-8")
    quoted = set(re.findall(r"`([\w./-]+)`", text))
    places = {word for word in quoted if word.startswith(tuple(f"{folder}/" for folder in FOLDERS))}
    places = {word for word in places if not any(part.isupper() for part in word.split("/"))}
    found = {word for word in places if not (ROOT / word).exists()}
    links = set(re.findall(r"\]\(([^)#:\s]+)\)", text))
    found |= {link for link in links if not (path.parent / link).exists()}
    sources = {word for word in quoted if word.endswith(".py") and "/" not in word}
    found |= {word for word in sources - SOURCE_NAMES if not (path.parent / word).exists()}
    modules = {
        word.rstrip(".") for word in re.findall(r"\bprunebench\.((?:api|benchmark|methods|datasets|slurm)[\w.]*)", text)
    }
    return found | {f"prunebench.{word}" for word in modules - MODULES.keys() - {"datasets"}}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_and_module_that_a_document_names_exists(path: Path) -> None:
    assert missing(path) <= COMING


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_document_shows_exists(path: Path) -> None:
    shown = re.findall(r"^ *prunebench ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(shown) <= set(app.commands)


def test_what_is_missing_is_found(tmp_path: Path) -> None:
    path = tmp_path / "some.md"
    path.write_text(
        "`benchmark/harness.py`, `benchmark/cli`, `results/reference/STUDY/`, [link](gone.md),\n"
        "`pruning.py`, `snip.py`, prunebench.benchmark.pruning, prunebench.api.\n",
        encoding="utf-8",
    )
    assert missing(path) == {"benchmark/harness.py", "gone.md", "pruning.py", "prunebench.benchmark.pruning"}
