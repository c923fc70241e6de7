"""The epochs of a training: `history.jsonl`, a line of JSON for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..api.errors import Damaged
from .files import FROM_RECORD, check_file, read_stored


def history_text(epochs: Sequence[Mapping[str, Any]]) -> str:
    """The content of `history.jsonl`."""
    return "".join(json.dumps(epoch) + "\n" for epoch in epochs)


def read_history(path: Path) -> list[dict[str, Any]]:
    """The epochs up to the first line that cannot be read: a killed writer leaves a part of its last line."""
    from .stored_types import Epoch, flaw

    try:
        lines = read_stored(path).decode(errors="replace").splitlines()
    except (FileNotFoundError, Damaged):
        return []
    epochs = []
    for line in lines:
        try:
            epoch = json.loads(line)
        except ValueError:
            break
        if flaw(epoch, Epoch):
            break
        epochs.append(epoch)
    return epochs


def history_facts(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """SHA-256 and bytes of `history.jsonl`; None for results of older versions, and for those from records.

    They are part of the provenance, because the seconds of epochs differ in each computation of a run.
    """
    return None if result.get(FROM_RECORD) else result["provenance"].get("history")


def whole_history(path: Path, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The epochs of a stored result. Raises Damaged if the file is not that of the result, or lacks epochs."""
    facts = history_facts(result)
    if facts is not None:
        check_file(path, facts)
    epochs, number = read_history(path), result["cost"]["epochs"]
    if len(epochs) != number:
        raise Damaged(path, f"it has {len(epochs)} epochs that can be read, its result says {number}")
    return epochs
