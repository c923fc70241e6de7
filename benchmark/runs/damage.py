"""What is done with files that are not what was stored: set aside under a name, said in one line, computed anew.

Only a process that holds the claim of a run's folder may call this. Nothing is deleted but the temporary files of
writers that were killed.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

from ..api.errors import Damaged, OnlyRecorded
from .aside import free_name
from .claim import Claim
from .recompute import NEW_HISTORY, WISH, ask, is_asked
from .run import Run
from .store import RunFolder
from .stored_files import damaged_files_of

WRITTEN = ("checkpoint.pt", "history.jsonl", "masks.safetensors", "model.safetensors")


def print_note(line: str) -> None:
    """Where nobody listens: to the log."""
    print(line, file=sys.stderr, flush=True)


def set_aside(error: Damaged, then: str = "the run is computed anew") -> str:
    """Rename the damaged file to `<name>.damaged`, or `.damaged-2` ...; returns the line that says so."""
    kept = free_name(error.path)
    with contextlib.suppress(FileNotFoundError):
        error.path.rename(kept)
        return f"set aside: {error}; it is kept as {kept.name}, and {then}"
    return f"{error}; {then}"


def set_aside_damage(folder: RunFolder, run: Run) -> list[str]:
    """Set aside a result that is damaged or lacks its weights, a `run.json` that is of no or another run, and what
    keeps the run's files from being written.

    Returns a line for each. The weights of a damaged result go with it: nothing says any more whose they are.
    """
    lines = []
    try:
        folder.check_stored()
    except OnlyRecorded:
        pass  # tables read it until the new one takes its place
    except Damaged as error:
        # What is asked for anew stays until the new result is there; its files are written anew in any case.
        lines += [] if is_asked(folder) else set_aside_result(folder, error)
    try:
        if not folder.describes(run):
            raise Damaged(folder.path / "run.json", f"it describes another run than id {run.id}")
    except FileNotFoundError:
        pass
    except Damaged as error:
        lines.append(set_aside(error))
    return lines + [set_aside(error) for error in _misplaced(folder)]


def clear_place(folder: RunFolder) -> list[str]:
    """Set aside what is in the place of a run's folder and is no folder: nobody can hold a claim in it."""
    if folder.path.is_dir() or not os.path.lexists(folder.path):
        return []
    return [set_aside(Damaged(folder.path, "it is not the folder of a run"))]


def set_aside_bad_weights(folder: RunFolder) -> list[str]:
    """Set aside a stored result whose weights are not those that it speaks of; reads them all."""
    from .artifacts import load_weights

    try:
        if folder.check_stored():
            result = folder.read_result() or {}
            load_weights(folder.model_path, result.get("files", {}).get(folder.model_path.name))
    except OnlyRecorded:
        return [f"only the record of dense training {folder.path.name} is here; its weights are computed anew"]
    except Damaged as error:
        return set_aside_result(folder, error)
    return []


def set_aside_files(folder: RunFolder) -> list[str]:
    """Set aside the files that are not those of a stored result, and ask for its computation anew.

    Returns a line for each; none where another process has the run. The result stays until the new one is there: its
    numbers are as good as before.
    """
    claim = Claim.take(folder.path)
    if claim is None:
        return []
    try:
        # Another process may have replaced them since they were found.
        found = damaged_files_of(folder)
        if found:
            ask(folder)
        return [set_aside(error) for error in found]
    finally:
        claim.release()


def _misplaced(folder: RunFolder) -> Iterator[Damaged]:
    """Folders where files are to be written, and a file in the place of the attempts' folder."""
    for name in (*WRITTEN, WISH, NEW_HISTORY):
        if (folder.path / name).is_dir():
            yield Damaged(folder.path / name, "it is a folder, not a file")
    attempts = folder.path / "attempts"
    if os.path.lexists(attempts) and not attempts.is_dir():
        yield Damaged(attempts, "it is not a folder")


def set_aside_result(folder: RunFolder, error: Damaged) -> list[str]:
    """Set aside a result and the weights that it speaks of, because of what one of them is."""
    lines = [set_aside(error)]
    for path in (folder.result_path, folder.model_path):
        if path != error.path and path.exists():
            set_aside(Damaged(path, "it belongs to a damaged file"))
    return lines


def remove_leftovers(folder: RunFolder) -> None:
    """Temporary files of writers that were killed (`.<name>.xxxxxxxx`), and claims that were moved out of the way.

    Some are made by processes that do not hold the folder, and may be at work on them: those are left for a minute.
    """
    for place in (folder.path, folder.path / "attempts"):
        for path in place.glob(".*"):
            # Any of them may be gone by now: its maker removes it.
            with contextlib.suppress(FileNotFoundError):
                is_young = time.time() - path.stat().st_mtime < OTHERS_SECONDS
                if path.is_file() and not (is_young and path.name.startswith(OF_OTHERS)):
                    path.unlink()


OF_OTHERS = (".claim.", ".clock.", f".{WISH}.")
"""A claim on its way out, the file that tells the time to who asks for a claim, a wish that is being written."""

OTHERS_SECONDS = 60.0


def tidy(folder: RunFolder) -> None:
    """Remove what a process that was killed after its last step left beside a stored result, unless one is at work.

    That is a checkpoint, the epochs and the wish of a computation anew, and temporary files.
    """
    names = {path.name for path in folder.path.iterdir()}
    done_with = {folder.checkpoint_path.name, NEW_HISTORY, WISH} & names
    has_leftovers = done_with or any(name.startswith(".") for name in names)
    claim = Claim.take(folder.path) if has_leftovers and _is_whole(folder) else None
    if claim is not None:
        try:
            remove_leftovers(folder)
            # Another process may have asked for the result anew since it was found done.
            for name in () if is_asked(folder) else done_with:
                (folder.path / name).unlink(missing_ok=True)
        finally:
            claim.release()


def _is_whole(folder: RunFolder) -> bool:
    """Whether nothing is left to compute: the checkpoint may lead to weights that are not here yet."""
    try:
        return folder.check_stored()
    except Damaged:
        return False
