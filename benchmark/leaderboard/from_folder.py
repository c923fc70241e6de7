"""The published results of a study's reference folder: `runs.csv` has the rows, `runs/` a record of each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...methods.registry import describe
from ..analysis.export import read_export
from ..api.errors import Damaged, UserError
from ..exchange.records import read_record
from ..exchange.sources import run_of
from ..runs.files import names_in, read_typed
from ..runs.latency_files import MeasuredLatency, stored_paths
from ..runs.pair_files import weights_in
from ..runs.run import DENSE, Run
from .from_result import measured_of, method_of, published
from .schema import REFERENCE, Published

Result = Mapping[str, Any]
COMPUTED = ("done", "failed")


def is_study_folder(folder: Path) -> bool:
    return (folder / "runs.csv").is_file()


def read_folder(folder: Path) -> list[Published]:
    """The finished and the failed runs of a folder; those that are not computed yet are left out.

    Empty for a folder without records. Raises Damaged or UserError for a file that cannot be read, a finished run
    without a record, and a failed one that nothing describes.
    """
    paths = sorted((folder / "runs").glob("*.json"))
    if not paths:
        return []
    records = dict(_records(paths))
    rows = _rows(folder / "runs.csv")
    titles = {str(row["dataset"]) for row in rows if row["dataset"] is not None}
    if len(titles) != 1:
        raise UserError(f"{folder / 'runs.csv'} is of {len(titles)} data sets: {', '.join(sorted(titles))}")
    listed = [row for row in rows if row["state"] in COMPUTED]
    made = _Folder(folder, records, titles.pop())
    own = {row["id"] for row in listed}
    dense = [run for run, _ in records.values() if run.is_dense and run.id not in own]
    return [
        *(made.done(str(describe(DENSE).label), run.id) for run in dense),
        *(made.of_row(row, listed) for row in listed),
    ]


def computed_part(folder: Path) -> str:
    """`41 of 216 runs of cifar-jpeg are computed`; empty where none is missing. Failed runs are computed."""
    states = [row["state"] for row in _rows(folder / "runs.csv") if row["state"] != "not run"]
    computed = sum(state in COMPUTED for state in states)
    return f"{computed} of {len(states)} runs of {folder.name} are computed" if computed < len(states) else ""


def _records(paths: Sequence[Path]) -> Iterator[tuple[str, tuple[Run, Result]]]:
    for path in paths:
        result, _ = read_record(path)
        run = run_of(result, path)
        if not run.id == result["id"] == path.stem:
            raise Damaged(path, f"it describes run {run.id}")
        yield run.id, (run, result)


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of an export as plain data, each run once."""
    frame = read_export(path)
    plain = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return list({row["id"]: row for row in reversed(plain)}.values())[::-1]


class _Folder:
    """One folder while it is read."""

    def __init__(self, folder: Path, records: Mapping[str, tuple[Run, Result]], title: str) -> None:
        self.study, self.records, self.title, self._path = folder.name, records, title, folder
        self._latency = stored_paths(folder.parent, folder.name) if names_in(folder / "latency") else {}

    def of_row(self, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Published:
        label, run_id = str(row["label"]), str(row["id"])
        if row["state"] == "done":
            return self.done(label, run_id)
        run = self._failed_run(row, rows)
        method = method_of(describe(run.method), run)
        return published(
            REFERENCE, self.study, label, method, run, state="failed", reason=row["reason"] or "", measured=None
        )

    def done(self, label: str, run_id: str) -> Published:
        if run_id not in self.records:
            raise UserError(f"{self._path}: runs.csv says that run {run_id} is done, and runs/ has no record of it")
        run, result = self.records[run_id]
        measured = measured_of(run, result, self.title, self._times(run_id, result))
        method = method_of(describe(run.method), run)
        return published(REFERENCE, self.study, label, method, run, state="done", measured=measured)

    def _times(self, run_id: str, result: Result) -> Iterator[Mapping[str, Any]]:
        for path in self._latency.get(run_id, ()):
            content = read_typed(path, MeasuredLatency)
            if content["weights"] == weights_in(result):
                yield content

    def _failed_run(self, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Run:
        """An export names a failed run by its id alone: it is that of another seed of its row with its seed."""
        seed, retraining = int(row["seed"]), int(row["retrain_seed"] or 0)
        for other in rows:
            if other["label"] == row["label"] and other["id"] in self.records:
                run = self.records[other["id"]][0]
                parent = replace(run.parent, seed=seed) if run.parent else None
                found = replace(run, seed=seed, parent=parent, sparsity=float(row["target"]), retrain_seed=retraining)
                if found.id == row["id"]:
                    return found
        raise UserError(f"{self._path}: nothing describes the failed run {row['id']} of {row['label']!r}")
