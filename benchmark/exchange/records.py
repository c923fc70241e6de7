"""Records: all that is known of a run but its weights and masks, as one small file a run for version control.

    FOLDER/<run id>.json

Equal results are equal bytes: sorted keys, no white space, the epochs of the history column by column. Merged into
another results folder (see `merge`), a record is the result there, and the study goes on from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api.errors import Damaged, UserError
from ..runs.run import Run
from ..runs.store import FROM_RECORD, Store, check_schema, read_json, write_atomically
from ..runs.stored_files import whole_history

RECORD_SCHEMA = 1
"""Version of the record's own form; that of the result stands in the result."""

Epochs = list[dict[str, Any]]


@dataclass(frozen=True)
class Written:
    """How many records were written: for the first time, in place of other ones, and how many were there already."""

    new: int = 0
    changed: int = 0
    equal: int = 0


def record_bytes(result: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> bytes:
    """The file of one run. A result that came from a record gives the same bytes again."""
    content = {
        "record": RECORD_SCHEMA,
        "result": {key: value for key, value in result.items() if key != FROM_RECORD},
        "history": _columns(history),
    }
    return (json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _columns(history: Sequence[Mapping[str, Any]]) -> list[dict[str, list[Any]]]:
    """Epochs as columns, which spares the keys; a new block begins where the keys change."""
    blocks: list[dict[str, list[Any]]] = []
    for epoch in history:
        if not blocks or blocks[-1].keys() != epoch.keys():
            blocks.append({key: [] for key in epoch})
        for key, value in epoch.items():
            blocks[-1][key].append(value)
    return blocks


def read_record(path: Path) -> tuple[dict[str, Any], Epochs]:
    """The result and the epochs of a record.

    Raises Damaged for a file that is no whole record, UserError for one of another version.
    """
    from ..runs.stored_types import Epoch, Record, Result, flaw

    content = read_json(path)
    version = content.get("record") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise Damaged(path, "it is no record of a run")
    if version != RECORD_SCHEMA:
        raise UserError(f"{path} has record format {version}, this version reads {RECORD_SCHEMA}")
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


def _rows(block: Mapping[str, list[Any]]) -> Epochs:
    """The inverse of `_columns` for one block. Raises ValueError for columns of different lengths."""
    return [dict(zip(block, values, strict=True)) for values in zip(*block.values(), strict=True)]


def history_text(history: Sequence[Mapping[str, Any]]) -> str:
    """The content of `history.jsonl`."""
    return "".join(json.dumps(epoch) + "\n" for epoch in history)


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
            history = whole_history(store.folder(study, run), result)
        except Damaged as error:
            store.note(error)
            continue
        if not run.is_dense:
            # Its folder may have been copied from another study; `merge` reads here where it belongs.
            result["study"] = study
        counts[_write(record_bytes(result, history), target / f"{run.id}.json")] += 1
    return Written(**counts)


def _write(content: bytes, path: Path) -> str:
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        before = None
    if before == content:
        return "equal"
    write_atomically(path, content)
    return "new" if before is None else "changed"
