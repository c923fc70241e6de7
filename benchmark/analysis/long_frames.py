"""Frames with a row for each layer of each stored run, or for each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ..api.errors import Damaged
from ..runs.index import summaries
from ..runs.run import Run
from ..runs.store import RunFolder, Store
from ..runs.stored_files import whole_history
from ..studies.load import Row, Study

LAYER_COLUMNS = ("label", "method", "target", "seed", "id", "index", "layer", "total", "kept", "density", "macs")
EPOCH_COLUMNS = (
    "label", "method", "target", "seed", "id", "epoch", "lr", "train_loss", "validation_accuracy", "test_accuracy",
    "density",
)  # fmt: skip


def layer_frame(study: Study, store: Store) -> pd.DataFrame:
    """Columns as in LAYER_COLUMNS, layers in the order of the network; empty if nothing is stored."""
    records = []
    for row, run in _computed(study):
        result = store.result(study.name, run)
        if result is not None:
            records += [{**row, **layer} for layer in layer_records(result)]
    return pd.DataFrame(records, columns=list(LAYER_COLUMNS))


def layer_records(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The layers of one stored result; `macs` are those of the dense layer."""
    kept = ("total", "kept", "density", "macs")
    return [
        {"index": index, "layer": layer["name"], **{key: layer[key] for key in kept}}
        for index, layer in enumerate(result["layers"])
    ]


def epoch_frame(study: Study, store: Store) -> pd.DataFrame:
    """Columns as in EPOCH_COLUMNS, of stored and of unfinished runs; epochs count from 1.

    A stored run with a damaged history is noted in the store and left out.
    """
    records = []
    with summaries(store, study.name) as read:
        for row, run in _computed(study):
            for record in epochs_of(store, store.folder(study.name, run), read(run)):
                told = {key: record.get(key) for key in EPOCH_COLUMNS[5:]}
                records.append({**row, **told, "epoch": record["epoch"] + 1})
    return pd.DataFrame(records, columns=list(EPOCH_COLUMNS))


def epochs_of(store: Store, folder: RunFolder, result: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The history of a run; of a stored one all of it, or none, which is noted."""
    if result is None:
        return folder.history()
    try:
        return whole_history(folder, result)
    except Damaged as error:
        store.note(error)
        return []


def _computed(study: Study) -> Iterator[tuple[dict[str, Any], Run]]:
    for row in study.rows:
        if row.run is not None:
            yield _keys(row), row.run


def _keys(row: Row) -> dict[str, Any]:
    assert row.run is not None
    return {"label": row.label, "method": row.method, "target": row.sparsity, "seed": row.seed, "id": row.run.id}
