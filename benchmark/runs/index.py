"""An index beside a folder of runs: its results without their layers, in one file instead of thousands.

    ROOT/.dense.index           of ROOT/dense/
    ROOT/<study>/.runs.index    of ROOT/<study>/runs/

Only readers write it and nothing depends on it. An entry counts while its result file has the size, times and inode
that were noted with it; else the file is read. An index that is damaged, of another version or not there at all only
costs time, and so does one that cannot be written.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from ..api.errors import Damaged
from .run import Run
from .store import SCHEMA, RunFolder, Store, write_atomically

VERSION = 2
"""2: a result that describes another run than its id is damaged."""

SETTLED_NS = 2_000_000_000
"""Younger results are not noted: changed again within one tick of the file system's clock, they would look the same."""

TEMPORARY_SECONDS = 60.0
"""A temporary file that is older was left by a writer that was killed."""

Read = Callable[[Run], dict[str, Any] | None]
Entries = dict[str, tuple[bytes, bytes]]
"""(Signature of a file, what is known of it), by name."""


@contextlib.contextmanager
def summaries(store: Store, study: str) -> Iterator[Read]:
    """A function that gives the stored result of a run of the study, without its layers, or None.

    None also stands for a damaged result, which the store notes.
    """
    indexes: dict[bool, Index] = {}

    def read(run: Run) -> dict[str, Any] | None:
        if run.is_dense not in indexes:
            indexes[run.is_dense] = Index(store.runs_folder(study, run), is_kept=store.keeps_index)
        try:
            return indexes[run.is_dense].read(run.id)
        except Damaged as error:
            store.note(error)
            return None

    yield read
    for index in indexes.values():
        index.save()


class Index:
    """The results of one folder of runs. `read` asks the index first, `save` keeps what was read from files."""

    def __init__(self, folder: Path, *, is_kept: bool = True) -> None:
        self._folder, self._is_kept = folder, is_kept
        self._path = index_path(folder)
        self._entries = load_entries(self._path, TITLE) if is_kept else {}
        self._has_changed = False

    def read(self, run_id: str) -> dict[str, Any] | None:
        """The result without its layers, or None. Raises what `RunFolder.read_result` raises."""
        try:
            state = os.stat(f"{self._folder}/{run_id}/result.json")  # noqa: PTH116  thousands of them
        except (FileNotFoundError, NotADirectoryError):
            self._forget(run_id)
            return None
        except OSError:
            # Links that lead back to themselves, or a disk that does not answer: reading says what it is.
            self._forget(run_id)
            result = RunFolder(self._folder / run_id).read_result()
            return None if result is None else _summary(result)
        known = self._entries.get(run_id)
        if known is not None and known[0] == signature(state):
            return from_json(known[1])
        self._forget(run_id)
        result = RunFolder(self._folder / run_id).read_result()
        if result is None:
            return None
        summary = _summary(result)
        if self._is_kept and is_settled(state):
            self._entries[run_id] = signature(state), to_json(summary)
            self._has_changed = True
        return summary

    def save(self) -> None:
        """Write what has changed, without entries of removed runs. Where that is not allowed, nothing is lost."""
        if not self._has_changed:
            return
        with contextlib.suppress(OSError):
            there = set(os.listdir(self._folder))  # noqa: PTH208
            save_entries(self._path, TITLE, {key: entry for key, entry in self._entries.items() if key in there})
            self._has_changed = False

    def _forget(self, run_id: str) -> None:
        self._has_changed |= self._entries.pop(run_id, None) is not None


def _summary(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "layers"}


def index_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.index")


TITLE = f"index {VERSION} of results {SCHEMA}"


def signature(state: os.stat_result) -> bytes:
    """What is another one after any change of a file."""
    return b"%d %d %d %d" % (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


def is_settled(state: os.stat_result) -> bool:
    """Whether a file is old enough that the next change of it gives another signature."""
    return max(state.st_mtime_ns, state.st_ctime_ns) < time.time_ns() - SETTLED_NS


def _header(title: str, checksum: int) -> bytes:
    return b"prunebench %s, crc32 %08x\n" % (title.encode(), checksum)


def save_entries(path: Path, title: str, entries: Entries) -> None:
    body = b"".join(b"%s\t%s\t%s\n" % (key.encode(), *entry) for key, entry in entries.items())
    write_atomically(path, _header(title, zlib.crc32(body)) + body)


def load_entries(path: Path, title: str) -> Entries:
    """What `save_entries` wrote; empty where there is no file, or not a whole one with this title."""
    entries: Entries = {}
    checksum = 0
    try:
        with path.open("rb") as file:
            header = file.readline()
            for line in file:
                checksum = zlib.crc32(line, checksum)
                key, signed, content = line.split(b"\t", 2)
                entries[key.decode()] = signed, content.rstrip(b"\n")
    except (OSError, ValueError):
        return {}
    return entries if header == _header(title, checksum) else {}


def remove_temporaries(folder: Path) -> None:
    """Temporary files (`..runs.index.xxxxxxxx`) whose writer was killed; those of a living one are younger."""
    for path in folder.glob("..*"):
        # Any of them may be gone by now, and a folder of somebody else's stays as it is.
        with contextlib.suppress(OSError):
            if OF_INDEX.fullmatch(path.name) and time.time() - path.stat().st_mtime > TEMPORARY_SECONDS:
                path.unlink()


OF_INDEX = re.compile(r"\.\.(dense|runs)\.(index|digests)\.\w{8}")
