"""Compute a stored run anew: a wish in the run's folder, which its next result fulfils.

The old result stays where it is, and is read by tables, until the new one takes its place. The wish names the result
that it is about, so that it ends with it, whoever computes the new one and however often that is interrupted.
"""

from __future__ import annotations

from typing import Any

from ..api.errors import Damaged
from .store import RunFolder, now, read_json, write_json

WISH = "recompute.json"
NEW_HISTORY = "history.new.jsonl"
"""The epochs of a run that is computed anew, until it is done; the old ones belong to the old result."""


def ask(folder: RunFolder) -> None:
    """Note that the stored result is to be computed anew. A recomputation that failed before may try again."""
    write_json(folder.path / WISH, {"finished": _finished(folder.read_result()), "asked": now()})
    folder.allow_retry()


def is_asked(folder: RunFolder) -> bool:
    """Whether the result that is there is to be computed anew. A wish that cannot be read is one all the same."""
    try:
        wish = read_json(folder.path / WISH)
    except FileNotFoundError:
        return False
    except Damaged:
        return True
    try:
        result = folder.read_result()
    except Damaged:
        return False
    return result is not None and (not isinstance(wish, dict) or wish.get("finished") == _finished(result))


def is_done(folder: RunFolder) -> bool:
    """Whether the run has a whole result that is to stay."""
    try:
        return folder.check_stored() and not is_asked(folder)
    except Damaged:
        return False


def can_be_started_from(folder: RunFolder) -> bool:
    """Whether a dense training's result is here with its weights, of whatever code it is."""
    try:
        return folder.check_stored()
    except Damaged:
        return False


def fulfil(folder: RunFolder) -> None:
    """The new result is there."""
    (folder.path / WISH).unlink(missing_ok=True)


def _finished(result: dict[str, Any] | None) -> float | None:
    return None if result is None else result["provenance"].get("finished")
