"""Which changes of source code change its digest, and which do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs import source_code
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.run_code import PROJECT, CodeReader
from prunebench.benchmark.runs.same_numbers import SAME_NUMBERS
from prunebench.benchmark.runs.source_code import SourceFiles, imported_files

PLAIN = '''\
from dataclasses import dataclass


@dataclass
class Mine:
    """Keep what is large."""

    label: str = "Mine"
    version = 1
    scale: float = 2.0

    def score(self, weight):
        return weight.abs() * self.scale  # large is kept
'''


def digest(folder: Path, text: str = PLAIN, name: str = "mine.py", **beside: str) -> str:
    folder.mkdir(exist_ok=True)
    for stem, content in {**beside, Path(name).stem: text}.items():
        (folder / f"{stem}.py").write_text(content, encoding="utf-8")
    return SourceFiles().digest(folder / name, imported_files(folder.resolve(), ""))


def test_the_digest_of_a_file_is_pinned(tmp_path: Path) -> None:
    """A deliberate change of this value must raise SCHEME, or every stored result would be marked as older."""
    assert digest(tmp_path) == "cc0aa1f513cacddb"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # large is kept", "  # or so"),
        ("Keep what is large.", "Keep what is\n    big."),
        ('label: str = "Mine"', 'label: str = "My method"'),
        ("version = 1", "version = 2"),
        ("weight.abs() * self.scale", "(weight.abs()\n                * self.scale)"),
    ],
    ids=["comment", "docstring", "label", "version", "layout"],
)
def test_what_changes_no_number_changes_no_digest(tmp_path: Path, old: str, new: str) -> None:
    assert old in PLAIN
    assert digest(tmp_path, PLAIN.replace(old, new)) == digest(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weight.abs()", "-weight.abs()"),
        ("2.0", "3.0"),
        ("2.0", "2"),
        ("scale: float", "scale: int"),
        ("@dataclass\n", ""),
    ],
)
def test_what_may_change_a_number_changes_the_digest(tmp_path: Path, old: str, new: str) -> None:
    assert old in PLAIN
    assert digest(tmp_path, PLAIN.replace(old, new)) != digest(tmp_path)


@pytest.mark.parametrize("new", ["from prunebench.api import MaskPruner, Masks", "from .old import Masks, MaskPruner"])
def test_where_the_suite_keeps_a_name_changes_no_digest(tmp_path: Path, new: str) -> None:
    """A moved file of the suite is the same code, and so is a method that imports it from its new place."""
    old = "from prunebench.a import Masks\nfrom prunebench.b import MaskPruner\n"
    assert digest(tmp_path, old + PLAIN) == digest(tmp_path, new + "\n" + PLAIN)
    assert digest(tmp_path, old + PLAIN) != digest(tmp_path, old.replace("Masks", "Sites") + PLAIN)


@pytest.mark.parametrize("new", ["from torch import ceil as whole", "from torch import floor as rounded"])
def test_another_name_of_a_library_changes_the_digest(tmp_path: Path, new: str) -> None:
    assert digest(tmp_path, "from torch import floor as whole\n" + PLAIN) != digest(tmp_path, new + "\n" + PLAIN)


def test_place_and_name_of_a_file_do_not_count(tmp_path: Path) -> None:
    assert digest(tmp_path / "a") == digest(tmp_path / "b", name="other.py")


def test_files_beside_it_count_where_they_are_imported(tmp_path: Path) -> None:
    text = "import scales\nfrom deeper import one\n" + PLAIN
    beside = {"scales": "import deeper\n", "deeper": "one = 1\n", "unused": "x = 1\n"}
    first = digest(tmp_path / "a", text, **beside)
    assert digest(tmp_path / "b", text, **{**beside, "unused": "x = 2\n"}) == first
    assert digest(tmp_path / "c", text, **{**beside, "deeper": "one = 2\n"}) != first
    assert digest(tmp_path / "d", text, **{**beside, "deeper": "one = 1  # one\n"}) == first


def test_modules_of_a_package_are_found_by_both_kinds_of_import(tmp_path: Path) -> None:
    def packaged(statement: str, value: int) -> str:
        (tmp_path / "mine.py").write_text(f"{statement}\n", encoding="utf-8")
        (tmp_path / "schedule.py").write_text(f"value = {value}\n", encoding="utf-8")
        return SourceFiles().digest(tmp_path / "mine.py", imported_files(tmp_path.resolve(), "pack"))

    for statement in ("from . import schedule", "from .schedule import value", "from pack.schedule import value",
                      "import pack.schedule"):  # fmt: skip
        assert packaged(statement, 1) != packaged(statement, 2), statement
    assert packaged("import schedule", 1) == packaged("import schedule", 2), "another package's"


def test_a_process_goes_on_with_the_file_that_it_has_read(tmp_path: Path) -> None:
    path, files = tmp_path / "mine.py", SourceFiles()
    path.write_text("x = 1\n", encoding="utf-8")
    first = files.digest(path, imported_files(tmp_path, ""))
    path.write_text("x = 2\n", encoding="utf-8")
    assert files.digest(path, imported_files(tmp_path, "")) == first


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read source file .*mine\.py"):
        digest(tmp_path, "def :\n")


def test_the_code_of_a_method_is_what_computes_its_masks() -> None:
    """Files that only find, list or check methods do not count, though `shuffled` imports some of them."""
    files = SourceFiles()
    run = Run(
        dataset="digits", model="convnet-small", method="shuffled", method_options=(("of", "rigl"),), seed=0,
        recipe=Recipe(epochs=1),
    )  # fmt: skip
    CodeReader(files).read(run)
    read = {str(path.relative_to(PROJECT)) for path in files._known}
    assert {"methods/shuffled.py", "methods/rigl.py", "methods/bases/dynamic.py", "benchmark/api/masks.py"} <= read
    assert not {path for path in read if "listing" in path or "checks" in path or path.endswith("/errors.py")}


@pytest.mark.parametrize("name", SAME_NUMBERS)
def test_a_change_of_speed_alone_counts_as_the_code_before(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this fails the file has changed again: remove its entry, or show that numbers stay and renew the digest."""
    files, path = SourceFiles(), PROJECT / name
    assert files._read(path)[0] == SAME_NUMBERS[name][1]
    monkeypatch.setattr(source_code, "COUNTS_AS", {})
    assert SourceFiles()._read(path)[0] == SAME_NUMBERS[name][0]


def test_a_new_file_of_a_change_of_speed_counts_as_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = {"fast": "import deeper\n", "deeper": "one = 1\n"}
    before = digest(tmp_path / "a")
    files = SourceFiles()
    (tmp_path / "b").mkdir()
    digest(tmp_path / "b", "import fast\n" + PLAIN, **beside)
    now = {name: files._read(tmp_path / "b" / f"{name}.py")[0] for name in ("mine", "fast")}
    old = files._read(tmp_path / "a" / "mine.py")[0]
    monkeypatch.setattr(source_code, "COUNTS_AS", {now["mine"]: old, now["fast"]: ""})
    assert digest(tmp_path / "b", "import fast\n" + PLAIN, **beside) == before
    assert digest(tmp_path / "b", "import fast\n" + PLAIN, fast="import deeper\nx = 2\n", deeper="one = 1\n") != before
