"""Pairs of retrainings as one tidy frame: a row for each pair of a study, measured or not."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..api.errors import Damaged
from ..runs.pair_files import pair_path, read_pair
from ..runs.store import Store
from ..studies.load import Study
from ..studies.pairs import Pair, pairs_of
from .connectivity import connectivity
from .frame_type import Frame

NUM_POINTS = 11
"""Points of a path, both ends included."""

PAIR_COLUMNS: dict[str, str] = {
    "study": "name of the study",
    "label": "row of the tables",
    "method": "registered name",
    "target": "sparsity asked for",
    "seed": "seed of both runs and of their dense training",
    "retrain_seed_a": "retraining seed of the first run",
    "retrain_seed_b": "retraining seed of the second run",
    "id_a": "id of the first run",
    "id_b": "id of the second run",
    "state": "measured or missing",
    "same_mask": "1: both runs are zero in the same places, so the path stays within one mask; 0: they are not",
    **{
        f"error_{index}": f"training error at {index / (NUM_POINTS - 1):g} of the way from the first run to the second"
        for index in range(NUM_POINTS)
    },
    "train_error": "mean training error of both ends, batch norm estimated anew",
    "lmc": "mean error of both ends minus the error on the path that is farthest from it; negative: a barrier",
    "lmc_symmetric": "mean of lmc in both orders of the runs",
    "lmc_position": "index of the point that lmc is taken from",
    "barrier_mean": "highest error on the path minus the mean of both ends",
    "barrier_chord": "highest error above the straight line between the errors of both ends",
    "endpoint_gap": "difference of the errors of both ends",
    "cka_softmax": "linear CKA of the class probabilities on training images; missing where one of them is constant",
    "cka_logits": "linear CKA of the logits",
    "cka_samples": "number of these images",
}
"""Name and meaning of every column; errors are fractions."""


def pair_frame(study: Study, store: Store) -> pd.DataFrame:
    """One row for each pair; columns as in PAIR_COLUMNS. Damaged files are noted in the store, their pairs missing."""
    records = [_record(study, pair, store) for pair in pairs_of(study.rows)]
    return pd.DataFrame(records, columns=list(PAIR_COLUMNS))


def _record(study: Study, pair: Pair, store: Store) -> dict[str, Any]:
    row = pair.first
    first, second = (store.folder(study.name, run) for run in pair.runs)
    plain = {
        "study": study.name, "label": row.label, "method": row.method, "target": row.sparsity, "seed": row.seed,
        "retrain_seed_a": pair.runs[0].retrain_seed, "retrain_seed_b": pair.runs[1].retrain_seed,
        "id_a": first.path.name, "id_b": second.path.name,
    }  # fmt: skip
    path = pair_path(store.root, study.name, pair.name)
    try:
        found = read_pair(path, (first, second), list(study.file.measure)) if path.exists() else None
    except Damaged as error:
        store.note(error)
        found = None
    if found is None:
        return {**plain, "state": "missing"}
    similar = {key: found.get(key) for key in ("cka_softmax", "cka_logits", "cka_samples")}
    return {**plain, "state": "measured", "same_mask": int(found["same_mask"]), **_path(found.get("errors")), **similar}


def _path(errors: list[float] | None) -> dict[str, Any]:
    if errors is None:
        return {}
    numbers = vars(connectivity(errors)).copy()
    return {
        **{f"error_{index}": error for index, error in enumerate(errors)},
        "train_error": (errors[0] + errors[-1]) / 2,
        "lmc_position": numbers.pop("position"),
        **numbers,
    }


def seed_means(pairs: Frame, column: str) -> dict[int, float]:
    """Mean over the pairs of each seed, without seeds of which a pair has no value."""
    found = {}
    for seed, rows in pairs.groupby("seed"):
        if rows[column].notna().all():
            found[int(seed)] = float(rows[column].astype(float).mean())
    return found
