"""Records: everything about a run except weights and masks, in one small file for version control.

    FOLDER/<run id>.json

Equal results give equal bytes: sorted keys, no white space, the epochs of the history as columns. A record that is
merged into another results folder (see `merge`) becomes the result there, and the study goes on from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api.errors import Damaged, UserError
from ..runs.files import FROM_RECORD, check_schema, read_json, write_atomically
from ..runs.history import whole_history
from ..runs.run import Run
from ..runs.store import Store

RECORD_SCHEMA = 1
"""Format of the record itself; the result in it has its own version."""

Epochs = list[dict[str, Any]]


@dataclass(frozen=True)
class Written:
    """How many records are new, how many replaced another one, and how many were there already."""

    new: int = 0
    changed: int = 0
    equal: int = 0


def record_bytes(result: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> bytes:
    """The content of a record. A result that came from a record gives the same bytes again."""
    return _bytes(
        {
            "record": RECORD_SCHEMA,
            "result": {key: value for key, value in result.items() if key != FROM_RECORD},
            "history": _columns(history),
        }
    )


def _bytes(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _columns(history: Sequence[Mapping[str, Any]]) -> list[dict[str, list[Any]]]:
    """Epochs as columns, so that keys are not repeated; a new block begins where the keys change."""
    blocks: list[dict[str, list[Any]]] = []
    for epoch in history:
        if not blocks or blocks[-1].keys() != epoch.keys():
            blocks.append({key: [] for key in epoch})
        for key, value in epoch.items():
            blocks[-1][key].append(value)
    return blocks


def read_record(path: Path) -> tuple[dict[str, Any], Epochs]:
    """The result and the epochs of a record.

    Raises Damaged if the file is not a complete record, UserError if it is of another version.
    """
    from ..runs.stored_types import Epoch, Record, Result, flaw

    content = read_json(path)
    check_record(content, path, "a run")
    if reason := flaw(content, Record):
        raise Damaged(path, reason)
    result = content["result"]
    check_schema(result, path)
    if reason := flaw(result, Result):
        raise Damaged(path, f"result: {reason}")
    try:
        history = [epoch for block in content["history"] for epoch in _rows(block)]
    except ValueError as error:
        raise Damaged(path, f"history: {error}") from error
    if reason := next(filter(None, (flaw(epoch, Epoch) for epoch in history)), ""):
        raise Damaged(path, f"history: {reason}")
    return result, history


def check_record(content: Any, path: Path, what: str) -> None:
    """Raises Damaged if it is not a record of `what`, UserError if it is of another version."""
    version = content.get("record") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise Damaged(path, f"it is not the record of {what}")
    if version != RECORD_SCHEMA:
        raise UserError(f"{path} has record format {version}, this version reads {RECORD_SCHEMA}")


def _rows(block: Mapping[str, list[Any]]) -> Epochs:
    """The inverse of `_columns` for one block. Raises ValueError for columns of different lengths."""
    return [dict(zip(block, values, strict=True)) for values in zip(*block.values(), strict=True)]


def write_records(study: str, runs: Sequence[Run], store: Store, target: Path) -> Written:
    """Write a record of every stored run; records of runs that are not stored here stay as they are.

    Results that are damaged, or whose history is, are noted in the store and left out.
    """
    counts = {"new": 0, "changed": 0, "equal": 0}
    for run in runs:
        result = store.result(study, run)
        if result is None:
            continue
        try:
            history = whole_history(store.folder(study, run).history_path, result)
        except Damaged as error:
            store.note(error)
            continue
        if not run.is_dense:
            # Its folder may have been copied from another study; `merge` reads here where it belongs.
            result["study"] = study
        counts[_write(record_bytes(result, history), target / f"{run.id}.json")] += 1
    return Written(**counts)


def write_record(record: Mapping[str, Any], path: Path) -> str:
    """Write a record unless it is there: `new`, `changed` or `equal`."""
    return _write(_bytes(record), path)


def _write(content: bytes, path: Path) -> str:
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        before = None
    if before == content:
        return "equal"
    write_atomically(path, content)
    return "new" if before is None else "changed"
