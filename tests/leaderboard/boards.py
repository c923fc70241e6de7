"""Stored studies, reference folders and leaderboards for the tests: exact results of the present code."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prunebench.benchmark.analysis.export import export_bytes
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.exchange.records import write_records
from prunebench.benchmark.leaderboard.from_folder import read_folder
from prunebench.benchmark.leaderboard.schema import Published
from prunebench.benchmark.runs.files import write_atomically, write_json
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.run_code import CodeReader
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.studies.plan import with_parents
from synthetic_results import LAYERS, STUDY, store_failure, store_result, write_study

READER = CodeReader()
ACCURACY = {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}


def accuracy(run: Run) -> float:
    return ACCURACY.get(run.method, 0.9) + 0.002 * run.seed


def store_exact(store: Store, study: str, run: Run, value: float, **changes: Any) -> Path:
    """A result whose layers keep exactly what its sparsity says; the path of its file."""
    totals = [total for _, _, total, _ in LAYERS]
    kept = sum(totals) - math.floor(run.sparsity * sum(totals) + 1e-9)
    folder = store_result(store, study, run, value)
    path = folder.result_path
    result = json.loads(path.read_text(encoding="utf-8"))
    first = [round(total * (1 - run.sparsity)) for total in totals[:-1]]
    for layer, number in zip(result["layers"], [*first, kept - sum(first)], strict=True):
        layer["kept"], layer["density"] = number, number / layer["total"]
    result["sparsity"] |= {"kept": kept, "achieved": 1 - kept / sum(totals)}
    last = value * run.recipe.epochs / run.recipe.epochs if run.recipe.epochs else value  # as the history has it
    result["accuracy"] |= {"last": last, "selected": last}
    if run.is_dense:
        folder.model_path.write_bytes(b"")
    result["provenance"]["code"] = READER.read(run)
    result["data"] |= {"fingerprint": f"{run.dataset} {dict(run.dataset_options)}"}
    _change(result, changes)
    write_json(path, result)
    return path


def _change(result: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        place: Any = result
        *above, last = key.split("__")
        for part in above:
            place = place[part]
        place[last] = value


def stored(
    folder: Path, text: str = STUDY, accuracy: Callable[[Run], float | None] = accuracy, **changes: Any
) -> tuple[Study, Store]:
    """A study with a result for each run; a run without an accuracy has failed by its own fault."""
    folder.mkdir(exist_ok=True)
    study, store = write_study(folder, text), Store(folder / "results")
    for run in with_parents(study.runs):
        value = accuracy(run)
        if value is None:
            store_failure(store, study.name, run, "Diverged: loss is nan")
        else:
            store_exact(store, study.name, run, value, **changes)
    return study, store


def as_reference(study: Study, store: Store, into: Path) -> Path:
    """The folder of the study as tools/reference.py writes it."""
    folder = into / study.name
    write_records(study.name, with_parents(study.runs), store, folder / "runs")
    write_atomically(folder / "runs.csv", export_bytes(study_frame(study, store), "csv"))
    return folder


def results_of(folder: Path, text: str = STUDY, **others: Any) -> list[Published]:
    """The published results of a study that is stored and committed below a folder."""
    return read_folder(as_reference(*stored(folder, text, **others), folder / "reference"))
