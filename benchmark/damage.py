"""What is done with files that are not what was stored: set aside under a name, said in one line, computed anew.

Only a process that holds the claim of a run's folder may call this. Nothing is deleted but the temporary files of
writers that were killed.
"""

from __future__ import annotations

import contextlib
import sys
import time

from .aside import free_name
from .claim import Claim
from .errors import Damaged
from .run import Run
from .store import RunFolder


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
    """Set aside a result that is damaged or lacks its weights, and a `run.json` that is of no or another run.

    Returns a line for each. The weights of a damaged result go with it: nothing says any more whose they are.
    """
    lines = []
    try:
        folder.check_stored()
    except Damaged as error:
        lines += set_aside_result(folder, error)
    try:
        if not folder.describes(run):
            raise Damaged(folder.path / "run.json", f"it describes another run than id {run.id}")
    except FileNotFoundError:
        pass
    except Damaged as error:
        lines.append(set_aside(error))
    return lines


def set_aside_result(folder: RunFolder, error: Damaged) -> list[str]:
    """Set aside a result and the weights that it speaks of, because of what one of them is."""
    lines = [set_aside(error)]
    for path in (folder.result_path, folder.model_path):
        if path != error.path and path.exists():
            set_aside(Damaged(path, "it belongs to a damaged file"))
    return lines


def remove_leftovers(folder: RunFolder) -> None:
    """Temporary files of writers that were killed (`.<name>.xxxxxxxx`), and claims that were moved out of the way.

    A claim is moved by a process that does not hold the folder, and may be looking at it: it is left for a minute.
    """
    for place in (folder.path, folder.path / "attempts"):
        for path in place.glob(".*"):
            is_claim = path.name.startswith(".claim.")
            if path.is_file() and not (is_claim and time.time() - path.stat().st_mtime < MOVED_CLAIM_SECONDS):
                path.unlink(missing_ok=True)


MOVED_CLAIM_SECONDS = 60.0


def tidy(folder: RunFolder) -> None:
    """Remove what a process that was killed after its last step left beside a stored result, unless one is at work."""
    names = {path.name for path in folder.path.iterdir()}
    has_leftovers = folder.checkpoint_path.name in names or any(name.startswith(".") for name in names)
    claim = Claim.take(folder.path) if has_leftovers else None
    if claim is not None:
        try:
            remove_leftovers(folder)
            folder.checkpoint_path.unlink(missing_ok=True)
        finally:
            claim.release()
