"""Compares the files that stored results name (masks, weights, epochs) with their digests.

`run` and `submit` compare all of them before anything is computed. Nothing here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..api.errors import Damaged
from .files import FROM_RECORD, check_file, digest_of
from .history import history_facts
from .known_digests import KnownDigests
from .recompute import REQUEST, is_asked
from .run import Run
from .run_folder import RunFolder
from .store import Store


def damaged_files(study: str, runs: Sequence[Run], store: Store) -> dict[Run, list[Damaged]]:
    """By run, the files that are not those of its stored result.

    Results from records, whose files are elsewhere, and results that are to be computed anew are left out. Raises
    OSError for a file that this user may not read.
    """
    existing = store.existing(study)
    known: dict[Path, KnownDigests] = {}
    found: dict[Run, list[Damaged]] = {}
    for run in runs:
        result = store.result(study, run) if run.id in existing else None
        folder = store.folder(study, run)
        # os.path: building a Path for each of thousands of runs would take longer
        if result is None or (os.path.lexists(f"{folder.path}/{REQUEST}") and is_asked(folder)):
            continue
        place = folder.path.parent
        if place not in known:
            known[place] = KnownDigests(place)
        if flaws := list(_flaws(folder, result, known[place].read)):
            found[run] = flaws
    for digests in known.values():
        digests.save()
    return found


def damaged_files_of(folder: RunFolder) -> list[Damaged]:
    """The damaged files of one run; all are read, whatever is cached."""
    result = folder.read_result()
    return [] if result is None else list(_flaws(folder, result, digest_of))


def _flaws(folder: RunFolder, result: Mapping[str, Any], read: Callable[[Path], str]) -> Iterator[Damaged]:
    if result.get(FROM_RECORD):
        return
    named = result.get("files", {})
    for path in (folder.masks_path, folder.model_path, folder.history_path):
        facts = history_facts(result) if path == folder.history_path else named.get(path.name)
        if facts is None:
            continue
        try:
            check_file(path, facts, read)
        except Damaged as error:
            yield error
