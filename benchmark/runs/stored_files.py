"""The files that stored results name, compared with their digests: masks, weights, and the epochs of the training.

    ROOT/.dense.digests             of ROOT/dense/
    ROOT/<study>/.runs.digests      of ROOT/<study>/runs/

`run` and `submit` compare all of them before anything is computed. A file is read once: its SHA-256 is remembered as
long as its size, times and inode stay (see `index`). Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..api.errors import Damaged
from .index import Entries, is_settled, load_entries, save_entries, signature, summaries
from .recompute import WISH, is_asked
from .run import Run
from .store import FROM_RECORD, RunFolder, Store, size_of

TITLE = "digests 1"


class Digests:
    """SHA-256 of the files of one folder of runs. `read` asks what is remembered first, `save` keeps what was read."""

    def __init__(self, folder: Path, *, is_kept: bool = True) -> None:
        self._folder, self._is_kept = folder, is_kept
        self._path = digests_path(folder)
        self._entries: Entries = load_entries(self._path, TITLE) if is_kept else {}
        self._has_changed = False

    def read(self, path: Path) -> str:
        """Raises Damaged where the file is missing or something else is in its place."""
        size_of(path)
        state, key = path.stat(), f"{path.parent.name}/{path.name}"
        known = self._entries.get(key)
        if known is not None and known[0] == signature(state):
            return known[1].decode()
        digest = digest_of(path)
        if self._is_kept and is_settled(state):
            self._entries[key] = signature(state), digest.encode()
            self._has_changed = True
        return digest

    def save(self) -> None:
        """Write what has changed, without entries of removed runs. Where that is not allowed, nothing is lost."""
        if not self._has_changed:
            return
        with contextlib.suppress(OSError):
            there = set(os.listdir(self._folder))  # noqa: PTH208
            entries = {key: entry for key, entry in self._entries.items() if key.partition("/")[0] in there}
            save_entries(self._path, TITLE, entries)


def digests_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.digests")


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged_files(study: str, runs: Sequence[Run], store: Store) -> dict[Run, list[Damaged]]:
    """By run, the files that are not those of its stored result.

    Left out are results from records, whose files are elsewhere, and those that are to be computed anew in any case.
    Raises OSError for a file that this user may not read.
    """
    existing = store.existing(study)
    kept: dict[Path, Digests] = {}
    found: dict[Run, list[Damaged]] = {}
    with summaries(store, study) as read:
        for run in runs:
            result = read(run) if run.id in existing else None
            folder = store.folder(study, run)
            # os.path: building a Path for each of thousands of runs takes longer than the look
            if result is None or (os.path.lexists(f"{folder.path}/{WISH}") and is_asked(folder)):
                continue
            place = folder.path.parent
            if place not in kept:
                kept[place] = Digests(place, is_kept=store.keeps_index)
            if flaws := list(_flaws(folder, result, kept[place])):
                found[run] = flaws
    for digests in kept.values():
        digests.save()
    return found


def damaged_files_of(folder: RunFolder) -> list[Damaged]:
    """Of one run, every file read anew."""
    result = folder.read_result()
    return [] if result is None else list(_flaws(folder, result, Digests(folder.path.parent, is_kept=False)))


def history_facts(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """SHA-256 and bytes of `history.jsonl`; None for results of older versions, and for those from records.

    They stand in the provenance: the seconds of epochs are another matter in each computation of a run.
    """
    return None if result.get(FROM_RECORD) else result["provenance"].get("history")


def whole_history(folder: RunFolder, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The epochs of a stored result. Raises Damaged for a file that is not the one of the result, or lacks epochs."""
    facts = history_facts(result)
    if facts is not None:
        check_file(folder.history_path, facts)
    records, number = folder.history(), result["cost"]["epochs"]
    if len(records) != number:
        raise Damaged(folder.history_path, f"it has {len(records)} epochs that can be read, its result says {number}")
    return records


def _flaws(folder: RunFolder, result: Mapping[str, Any], digests: Digests) -> Iterator[Damaged]:
    if result.get(FROM_RECORD):
        return
    named = result.get("files", {})
    for path in (folder.masks_path, folder.model_path, folder.history_path):
        facts = history_facts(result) if path == folder.history_path else named.get(path.name)
        if facts is None:
            continue
        try:
            check_file(path, facts, digests.read)
        except Damaged as error:
            yield error


def check_file(path: Path, facts: Mapping[str, Any], read: Callable[[Path], str] = digest_of) -> None:
    """Raises Damaged where a file is not the one of the facts."""
    size = size_of(path)
    if size != facts["bytes"]:
        raise Damaged(path, f"it has {size} bytes, its result says {facts['bytes']}")
    if read(path) != facts["sha256"]:
        raise Damaged(path, "its SHA-256 is not the one in its result")
