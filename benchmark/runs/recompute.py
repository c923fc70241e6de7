"""Requests to compute a stored run again: a file in the run's folder, which the next result removes.

The old result stays, and tables read it, until the new one replaces it. The request names the old result, so it ends
with that, whichever process computes the new one and however often that is interrupted.
"""

from __future__ import annotations

from typing import Any

from ..api.errors import Damaged
from .files import now, read_json, write_json
from .run_folder import RunFolder

REQUEST = "recompute.json"
NEW_HISTORY = "history.new.jsonl"
"""The epochs of a run that is computed again, until it is done; `history.jsonl` belongs to the old result."""


def ask(folder: RunFolder) -> None:
    """Request that a stored result is computed again. A recomputation that failed before may be tried again."""
    write_json(folder.path / REQUEST, {"finished": _finished(folder.read_result()), "asked": now()})
    folder.allow_retry()


def is_asked(folder: RunFolder) -> bool:
    """Whether the stored result is to be computed again. A request that cannot be read counts as one."""
    try:
        request = read_json(folder.path / REQUEST)
    except FileNotFoundError:
        return False
    except Damaged:
        return True
    try:
        result = folder.read_result()
    except Damaged:
        return False
    return result is not None and (not isinstance(request, dict) or request.get("finished") == _finished(result))


def is_done(folder: RunFolder) -> bool:
    """Whether the run has an undamaged result that is not to be computed again."""
    return folder.is_stored() and not is_asked(folder)


def fulfil(folder: RunFolder) -> None:
    """Remove the request: the new result is stored."""
    (folder.path / REQUEST).unlink(missing_ok=True)


def _finished(result: dict[str, Any] | None) -> float | None:
    return None if result is None else result["provenance"].get("finished")
