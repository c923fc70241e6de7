"""Published results as the frame that tables and statistics read: a row for each run, columns as in `frame.COLUMNS`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd

from ...methods.registry import borrowed_versions, describe, method_names
from ..analysis.failures import OWN_FAULT, count_failures
from ..analysis.frame import COLUMNS, result_columns, start_weights
from ..analysis.frame_type import Frame
from ..analysis.older import set_aside
from ..analysis.retrainings import mean_retrainings
from ..runs.run import Run, from_dict
from .schema import Measured, Published
from .settings import Row, Setting


def setting_frame(setting: Setting) -> Frame:
    """A row for each seed; a failed run has the accuracy of guessing a class, as in the tables of a study."""
    rows = (*setting.dense, *setting.rows)
    records = [_record(result, row) for row in rows for result in row.results]
    runs = set_aside(pd.DataFrame(records, columns=list(COLUMNS)))
    return count_failures(mean_retrainings(runs), chance_of(setting))


def chance_of(setting: Setting) -> float:
    """Accuracy of always naming the same class; 0 where no result says how many there are."""
    known = (result.measured.data.classes for row in setting.rows for result in row.results if result.measured)
    return next((1 / classes for classes in known if classes), 0.0)


def _record(result: Published, row: Row) -> dict[str, Any]:
    run = from_dict(result.run)
    plain: dict[str, Any] = {
        "study": result.study,
        "id": result.id,
        "label": row.label,
        "method": run.method,
        "options": json.dumps(dict(run.method_options)),
        "dataset": result.measured.data.title if result.measured else run.dataset,
        "model": run.model,
        "target": run.sparsity,
        "start_weights": start_weights(run),
        "seed": run.seed,
        "retrain_seed": run.retrain_seed,
        "parent": run.parent.id if run.parent else None,
        "state": result.state,
        "reason": result.reason,
    }
    if result.measured is None:
        return {**plain, "fault": OWN_FAULT}
    # Equal specifications on two machines may give other dense weights, and then runs are no pair.
    plain["parent"] = result.measured.provenance.start_weights or plain["parent"]
    return {**plain, **_measured(result.measured), "outdated": "method" if is_older(run) else None}


def _measured(measured: Measured) -> dict[str, Any]:
    found = measured.model_dump()
    found["provenance"]["host"] = None
    if found["sparsity"]["outside"] is None:
        del found["sparsity"]["outside"]
    return result_columns(found)


def is_older(run: Run) -> bool:
    """Whether the method has another version now: its numbers changed. Not known of a method that is not here."""
    if run.method not in method_names():
        return False
    now = (describe(run.method).version, borrowed_versions(run.method, dict(run.method_options)))
    return now != (run.method_version, run.borrowed_versions)


def counts(frame: Frame, label: str) -> str:
    """Seeds behind the cells of a row: `3`, or from fewest to most."""
    rows = frame[frame["label"] == label]
    found = sorted({len(group) for _, group in rows.groupby("target")})
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def texts(values: Iterable[object]) -> list[str]:
    """Distinct values as text, in their order."""
    return list(dict.fromkeys(str(value) for value in values))
