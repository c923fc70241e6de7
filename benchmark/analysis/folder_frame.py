"""The frame of whatever is stored in a folder: without the study file, and with runs of several studies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ...datasets.registry import shown_name
from ...methods.registry import describe, method_names
from ..api.errors import Damaged, UserError
from ..runs.run import Run, from_dict, with_options
from ..runs.run_folder import RunFolder
from ..runs.store import Store
from ..studies.age import Ages
from .frame import COLUMNS, result_columns, start_weights, status_columns
from .frame_type import Frame


def folder_frame(folder: Path) -> Frame:
    """A row for each run in a results folder, or in the folder of a study; columns as in COLUMNS.

    Rows of a study's folder include the dense trainings that its runs start from. A label is that of the method with
    its options, since the study may give others. Raises UserError for a folder without runs, Damaged for a description
    of a run that cannot be read.
    """
    folders = list(_run_folders(folder))
    if not folders:
        raise UserError(f"{folder} holds no runs; give a results folder, the folder of a study in it, or a study")
    store = Store(_root(folder))
    ages = {found.study: Ages(found.study, store) for found in folders}
    records = [_record(found, store, ages[found.study]) for found in folders]
    return pd.DataFrame(records, columns=list(COLUMNS))


def _root(folder: Path) -> Path:
    return folder.parent if (folder / "runs").is_dir() or folder.name == "dense" else folder


def _run_folders(folder: Path) -> Iterator[RunFolder]:
    if folder.name == "dense":
        yield from _within(folder)
    elif (folder / "runs").is_dir():
        own = list(_within(folder / "runs"))
        parents = {run.parent.id for run in map(_run_of, own) if run.parent is not None}
        yield from (found for found in _within(folder.parent / "dense") if found.path.name in parents)
        yield from own
    else:
        for base in (folder / "dense", *sorted(folder.glob("*/runs"))):
            yield from _within(base)


def _within(base: Path) -> Iterator[RunFolder]:
    return (RunFolder(path.parent) for path in sorted(base.glob("*/run.json")))


def _run_of(folder: RunFolder) -> Run:
    from ..runs.files import read_typed
    from ..runs.stored_types import Described

    path = folder.path / "run.json"
    try:
        return from_dict(read_typed(path, Described)["run"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise Damaged(path, f"it describes no run ({error})") from error


def _record(folder: RunFolder, store: Store, ages: Ages) -> dict[str, Any]:
    run = _run_of(folder)
    is_known = run.method in method_names()
    plain = {
        "study": folder.study,
        "id": run.id,
        "label": with_options(describe(run.method).label if is_known else run.method, run.method_options),
        "method": run.method,
        "options": json.dumps(dict(run.method_options)),
        "dataset": shown_name(run.dataset, dict(run.dataset_options)),
        "model": run.model,
        "target": run.sparsity,
        "start_weights": start_weights(run),
        "seed": run.seed,
        "retrain_seed": run.retrain_seed,
        "parent": run.parent.id if run.parent else None,
    }
    result = store.result(folder.study, run)
    if result is None:
        return {**plain, **status_columns(store.status(folder.study, run))}
    outdated = " ".join(_age(ages, run, result)) or None
    return {**plain, "state": "done", "reason": "", **result_columns(result), "outdated": outdated}


def _age(ages: Ages, run: Run, result: dict[str, Any]) -> tuple[str, ...]:
    """Not known of a method or network that is not here: of a plug-in that was not given."""
    try:
        return ages.of(run, result)
    except UserError:
        return ()
