"""The index beside the run folders: whatever happens to it or to the results, readers see what the files say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.exchange.compare_folders import read_stored
from prunebench.benchmark.runs import index
from prunebench.benchmark.runs.index import Index, index_path
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import RunFolder, Store
from synthetic_results import fill, store_failure, store_result, write_study


class Place:
    """A study with its results, which are read with and without an index."""

    def __init__(self, folder: Path) -> None:
        self.study = write_study(folder)
        self.store = Store(folder / "results")
        self.runs = [run for run in self.study.runs if not run.is_dense]
        self.folder = self.store.runs_folder(self.study.name, self.runs[0])
        self.index = index_path(self.folder)
        fill(self.store, self.study, lambda run: 0.9 + 0.001 * run.seed)

    def result(self, run: Run) -> Path:
        return self.store.folder(self.study.name, run).result_path

    def edit(self, run: Run, accuracy: float) -> None:
        """Change a number in place, the size of the file and its time as they were."""
        path, before = self.result(run), self.result(run).stat()
        result = json.loads(path.read_text(encoding="utf-8"))
        result["accuracy"]["last"] = accuracy
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def copy(self, run: Run) -> None:
        """Bring a result from elsewhere with its times, as rsync and cp -a do."""
        path = self.result(run)
        if path.exists():
            moved = path.with_name("moved.json")
            shutil.copy2(path, moved)
            moved.replace(path)

    def cut(self, length: int) -> None:
        if self.index.exists():
            self.index.write_bytes(self.index.read_bytes()[:length])

    def check(self) -> None:
        """Two readings through the index, one that may write it and one after, are that of the files."""
        wanted = study_frame(self.study, Store(self.store.root, keeps_index=False))
        for _ in range(2):
            pd.testing.assert_frame_equal(study_frame(self.study, self.store), wanted, check_exact=True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Results count as settled at once: the time of change of a file cannot be set back."""
    monkeypatch.setattr(index, "SETTLED_NS", 0)
    return Place(tmp_path)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the runs whose result is read from its file."""
    ids: list[str] = []
    read_result = RunFolder.read_result

    def noted(folder: RunFolder) -> Any:
        ids.append(folder.path.name)
        return read_result(folder)

    monkeypatch.setattr(RunFolder, "read_result", noted)
    return ids


def test_a_second_reading_opens_no_result(place: Place, opened: list[str]) -> None:
    first = study_frame(place.study, place.store)
    assert sorted(opened) == sorted(run.id for run in place.study.runs)
    opened.clear()
    pd.testing.assert_frame_equal(study_frame(place.study, place.store), first, check_exact=True)
    assert opened == []


def test_only_what_has_changed_is_read_again(place: Place, opened: list[str]) -> None:
    place.check()
    changed, removed = place.runs[:2]
    place.edit(changed, 0.123)
    place.result(removed).unlink()
    opened.clear()
    frame = study_frame(place.study, place.store).set_index("id")
    assert opened == [changed.id]
    opened.clear()
    study_frame(place.study, place.store)
    assert opened == []
    assert frame.loc[changed.id, "accuracy_last"] == 0.123
    assert frame.loc[removed.id, "state"] == "interrupted"
    place.check()
    entries = place.index.read_text(encoding="utf-8")
    assert changed.id in entries
    assert removed.id not in entries


def test_a_young_result_is_not_noted(tmp_path: Path, opened: list[str]) -> None:
    """Written twice within a tick of the clock, the old and the new file may look the same."""
    study, store = write_study(tmp_path), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.9)
    for _ in range(2):
        opened.clear()
        study_frame(study, store)
        assert len(opened) == len(study.runs)
    assert not index_path(store.runs_folder(study.name, study.runs[-1])).exists()


def test_a_result_of_another_version_is_refused_though_it_was_noted(place: Place) -> None:
    place.check()
    path = place.result(place.runs[0])
    path.write_text(path.read_text(encoding="utf-8").replace('"schema": 1', '"schema": 7'), encoding="utf-8")
    with pytest.raises(UserError, match="has result format 7"):
        study_frame(place.study, place.store)
    path.write_text("{", encoding="utf-8")
    frame = study_frame(place.study, place.store)
    assert list(place.store.damaged) == [path]
    assert set(frame.loc[frame["id"] == place.runs[0].id, "state"]) == {"damaged"}


def damaged(content: bytes) -> dict[str, bytes]:
    """What an index may look like after a crash, a full disk, another version, or an evil hand."""
    wrong = content.replace(b'"last":0.9', b'"last":0.1')
    assert wrong != content
    return {
        "empty": b"",
        "only its first line": content.splitlines(keepends=True)[0],
        "cut in the middle of a line": content[: len(content) // 2],
        "cut between lines": b"".join(content.splitlines(keepends=True)[:-1]),
        "zeros": bytes(len(content)),
        "other bytes": bytes(range(256)) * 9,
        "another number": wrong,
        "an older version": content.replace(b"index 1 ", b"index 0 ", 1).replace(b'"last":0.9', b'"last":0.1'),
        "of older results": content.replace(b"results 1,", b"results 0,", 1),
        "a line that is no entry": content + b"nonsense\n",
    }


@pytest.mark.parametrize("how", damaged(b'x 1 y 1,\n"last":0.9\n'))
def test_a_damaged_index_is_built_anew(place: Place, how: str, opened: list[str]) -> None:
    place.check()
    whole = place.index.read_bytes()
    place.index.write_bytes(damaged(whole)[how])
    place.check()
    assert place.index.read_bytes() == whole
    opened.clear()
    study_frame(place.study, place.store)
    assert opened == []


def test_a_folder_in_the_place_of_the_index_is_left_alone(place: Place) -> None:
    place.index.mkdir()
    place.check()
    assert sorted(path.name for path in place.index.parent.iterdir()) == [".runs.index", "runs"]


def test_an_index_that_cannot_be_written_is_done_without(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may only be read, a full disk: whoever runs the tests may be root, who is never refused."""

    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(index, "write_atomically", refuse)
    place.check()
    assert not place.index.exists()


def test_a_store_without_index_neither_writes_nor_reads_one(place: Place, opened: list[str]) -> None:
    plain = Store(place.store.root, keeps_index=False)
    study_frame(place.study, plain)
    assert not place.index.exists()
    study_frame(place.study, place.store)
    opened.clear()
    study_frame(place.study, plain)
    assert len(opened) == len(place.study.runs)


def test_runs_of_other_studies_of_the_folder_stay_noted(place: Place, opened: list[str]) -> None:
    """`--only` and another version of the study read a part: what they do not ask for is kept."""
    place.check()
    place.edit(place.runs[0], 0.5)
    part = Index(place.folder)
    part.read(place.runs[0].id)
    part.save()
    opened.clear()
    study_frame(place.study, place.store)
    assert opened == []


def test_two_readers_at_once_leave_a_whole_index(place: Place, tmp_path: Path) -> None:
    """Processes that build and use the index over and over, while results change under them."""
    script = (
        "import sys, pathlib\n"
        "from prunebench.benchmark.runs import index\n"
        "index.SETTLED_NS = 0\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "names = sorted(path.name for path in folder.iterdir())\n"
        "for turn in range(60):\n"
        "    if turn % 3 == 0: index.index_path(folder).unlink(missing_ok=True)\n"
        "    found = index.Index(folder)\n"
        "    for name in names:\n"
        "        assert found.read(name)['id'] == name\n"
        "    found.save()\n"
    )
    readers = [subprocess.Popen([sys.executable, "-c", script, str(place.folder)]) for _ in range(2)]
    turn = 0
    while any(reader.poll() is None for reader in readers):
        turn += 1
        store_result(place.store, place.study.name, place.runs[turn % len(place.runs)], (turn % 997) / 1000)
    assert [reader.returncode for reader in readers] == [0, 0]
    place.check()
    assert not list(place.index.parent.glob(".runs.index.*"))


def test_comparing_reads_the_same_through_the_index(place: Place, opened: list[str]) -> None:
    first = read_stored(place.store.root)
    opened.clear()
    second = read_stored(place.store.root)
    assert opened == []
    assert first == second
    assert {stored.run for stored in first} == set(place.study.runs)


ACTIONS: dict[str, Callable[[Place, Run, int], None]] = {
    "edit": lambda place, run, number: place.edit(run, number / 1000) if place.result(run).exists() else None,
    "store": lambda place, run, number: void(store_result(place.store, place.study.name, run, number / 1000)),
    "remove": lambda place, run, number: place.result(run).unlink(missing_ok=True),
    "fail": lambda place, run, number: void(store_failure(place.store, place.study.name, run, f"reason {number}")),
    "remove the run": lambda place, run, number: shutil.rmtree(place.result(run).parent, ignore_errors=True),
    "copy": lambda place, run, number: place.copy(run),
    "cut the index": lambda place, run, number: place.cut(number),
    "remove the index": lambda place, run, number: place.index.unlink(missing_ok=True),
}


def void(_: object) -> None:
    pass


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 17), st.integers(0, 999)), max_size=6))
def test_whatever_happens_readers_see_the_files(actions: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "SETTLED_NS", 0)
        place = Place(Path(folder))
        place.check()
        for name, chosen, number in actions:
            ACTIONS[name](place, place.runs[chosen], number)
            place.check()
