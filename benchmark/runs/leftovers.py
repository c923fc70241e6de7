"""Removes what killed processes left behind, and files that only older versions read."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

from .claim import Claim
from .recompute import NEW_HISTORY, REQUEST, is_asked
from .run_folder import RunFolder

OF_OTHERS = (".claim.", ".clock.", f".{REQUEST}.")
"""Temporary files that other processes make: a claim that is removed, a file for its time, a new request."""

OTHERS_SECONDS = 60.0
"""Younger temporary files of other processes stay."""

TEMPORARY_CACHE = re.compile(r"\.\.(dense|runs)\.(index|digests)\.\w{8}")
INDEXES = (".dense.index", ".runs.index")
"""Caches of older versions, which nothing reads any more."""


def remove_leftovers(folder: RunFolder) -> None:
    """Remove temporary files of killed writers (`.<name>.xxxxxxxx`), and dead claims that were renamed.

    Call it only with the claim of the folder. Files that processes without the claim make are left for a minute.
    """
    for place in (folder.path, folder.path / "attempts"):
        for path in place.glob(".*"):
            # The process that made it may have removed it by now.
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and not (_is_young(path) and path.name.startswith(OF_OTHERS)):
                    path.unlink()


def _is_young(path: Path) -> bool:
    return time.time() - path.stat().st_mtime < OTHERS_SECONDS


def tidy(folder: RunFolder) -> None:
    """Remove what a process that was killed after its last step left beside a stored result, unless one is at work.

    These are a checkpoint, the epochs and the request of a recomputation, and temporary files.
    """
    names = {path.name for path in folder.path.iterdir()}
    done_with = {folder.checkpoint_path.name, NEW_HISTORY, REQUEST} & names
    has_leftovers = done_with or any(name.startswith(".") for name in names)
    # Without result and weights the checkpoint may still be needed.
    claim = Claim.take(folder.path) if has_leftovers and folder.is_stored() else None
    if claim is not None:
        try:
            remove_leftovers(folder)
            # Another process may have requested a recomputation since the result was found done.
            for name in () if is_asked(folder) else done_with:
                (folder.path / name).unlink(missing_ok=True)
        finally:
            claim.release()


def remove_caches(folder: Path) -> None:
    """Remove caches of older versions in a folder, and temporary files of caches whose writer was killed."""
    for name in INDEXES:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    for path in folder.glob("..*"):
        # Its writer may have removed it by now, and a folder stays.
        with contextlib.suppress(OSError):
            if TEMPORARY_CACHE.fullmatch(path.name) and not _is_young(path):
                path.unlink()
