"""A study of three methods at two sparsities, stored with numbers that are easy to check."""

from __future__ import annotations

from pathlib import Path

from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.tables.accuracy import accuracy_table
from prunebench.benchmark.tables.table import Cell, Table
from synthetic_results import STUDY, write_study

ACCURACY = {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}


def made(tmp_path: Path, text: str = STUDY) -> tuple[Study, Store]:
    return write_study(tmp_path, text), Store(tmp_path / "results")


def by_seed(run: Run) -> float:
    """The same order of methods at every seed, with a common shift: differences are exact and real."""
    return ACCURACY.get(run.method, 0.9) + 0.002 * run.seed - (0.01 if run.sparsity > 0.9 else 0)


def cell(table: Table, label: str, column: str) -> Cell:
    index = [c.heading for c in table.columns].index(column)
    return next(row.cells[index] for row in table.rows if row.label == label)


def build(study: Study, store: Store, **options: str) -> Table:
    found = read_results(study, store)
    return accuracy_table(found.frame, chance=found.chance, **options)  # pyright: ignore[reportArgumentType]


def standings(table: Table, column: str) -> dict[str, tuple[str, bool | None]]:
    found = {row.label: cell(table, row.label, column) for row in table.rows if not row.is_reference}
    return {label: (each.mark, each.is_indistinct) for label, each in found.items()}
