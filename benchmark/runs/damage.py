"""Sets damaged files aside: renames them, and returns a line about each. Nothing is deleted.

Only a process that holds the claim of a run's folder may call this, except where noted.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ..api.errors import Damaged, OnlyRecorded
from .claim import Claim
from .files import free_name
from .recompute import NEW_HISTORY, REQUEST, ask, is_asked
from .run import Run
from .run_folder import RunFolder
from .stored_files import damaged_files_of

WRITTEN = ("checkpoint.pt", "history.jsonl", "masks.safetensors", "model.safetensors")


def print_note(line: str) -> None:
    """Print to stderr, where no caller handles notes."""
    print(line, file=sys.stderr, flush=True)


def set_aside(error: Damaged, then: str = "the run is computed anew") -> str:
    """Rename the damaged file to `<name>.damaged`, or `.damaged-2` ...; returns the line that says so."""
    kept = free_name(error.path)
    with contextlib.suppress(FileNotFoundError):
        error.path.rename(kept)
        return f"set aside: {error}; it is kept as {kept.name}, and {then}"
    return f"{error}; {then}"


def set_aside_damage(folder: RunFolder, run: Run) -> list[str]:
    """Set aside what would hinder the computation of a run; returns a line for each.

    That is a result that is damaged or lacks its weights, a `run.json` that is damaged or of another run, and folders
    in the place of files. The weights of a damaged result are set aside too, because nothing says what they are.
    """
    lines = []
    try:
        folder.check_stored()
    except OnlyRecorded:
        pass  # tables read it until the new one replaces it
    except Damaged as error:
        # A result that is to be computed again stays until then; its files are written again anyway.
        lines += [] if is_asked(folder) else set_aside_result(folder, error)
    try:
        if not folder.describes(run):
            raise Damaged(folder.path / "run.json", f"it describes another run than id {run.id}")
    except FileNotFoundError:
        pass
    except Damaged as error:
        lines.append(set_aside(error))
    return lines + [set_aside(error) for error in _misplaced(folder)]


def clear_folder(folder: Path, say: Callable[[str], None] = print_note) -> None:
    """Set aside a file in the place of a folder that the launcher needs; `say` gets the line about it."""
    if folder.exists() and not folder.is_dir():
        say(set_aside(Damaged(folder, "it is a file, not a folder"), "a new folder takes its place"))


def clear_place(folder: RunFolder) -> list[str]:
    """Set aside a file in the place of a run's folder, in which no process can have a claim."""
    if folder.path.is_dir() or not os.path.lexists(folder.path):
        return []
    return [set_aside(Damaged(folder.path, "it is not the folder of a run"))]


def set_aside_bad_weights(folder: RunFolder) -> list[str]:
    """Set aside a stored result if its weights have another SHA-256."""
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
    """Set aside files that are not those of a stored result, and request a recomputation. Takes the claim itself.

    Returns a line for each; none if another process has the run. The result stays until the new one is stored, because
    its numbers are still valid.
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
    """Folders in the place of files, and a file in the place of the attempts' folder."""
    for name in (*WRITTEN, REQUEST, NEW_HISTORY):
        if (folder.path / name).is_dir():
            yield Damaged(folder.path / name, "it is a folder, not a file")
    attempts = folder.path / "attempts"
    if os.path.lexists(attempts) and not attempts.is_dir():
        yield Damaged(attempts, "it is not a folder")


def set_aside_result(folder: RunFolder, error: Damaged) -> list[str]:
    """Set aside a result and its weights, of which one is damaged."""
    lines = [set_aside(error)]
    for path in (folder.result_path, folder.model_path):
        if path != error.path and path.exists():
            set_aside(Damaged(path, "it belongs to a damaged file"))
    return lines
