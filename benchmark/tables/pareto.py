"""Accuracy beside multiply-adds: what each row keeps of both, and which rows no other one beats in both."""

from __future__ import annotations

from dataclasses import replace

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.curves import pareto_front
from ..analysis.frame_type import Frame
from ..analysis.groups import heading, split_groups, subject
from ..analysis.spread import Stat
from .accuracy import accuracy_rows, dense_rows, marks_by_target
from .caption import common_caption
from .cell import headings, measured_cell
from .marks import RULE, untold
from .table import Cell, Column, Note, Roles, Table, TableRow

FRONT = "on the Pareto front of the means: no other row and sparsity has at least its accuracy with fewer multiply-adds"

Pair = tuple[Cell, Cell]
"""Multiply-adds left and accuracy, in percent."""


def pareto_table(frame: Frame, accuracy: str = "last", stat: Stat = "std", chance: float | None = None) -> Table:
    """Two columns for each sparsity: multiply-adds left in percent of the dense network, and accuracy in percent."""
    column = accuracy_column(accuracy)
    groups = split_groups(frame.assign(macs_left=1 - frame["macs_pruned"].astype(float)))
    marks = marks_by_target(groups, column, chance)
    rows: list[tuple[TableRow, list[Pair]]] = []
    for row in dense_rows(frame, column, stat, max(1, len(groups.targets))):
        rows.append((row, [(Cell(value=100.0, digits=1), cell) for cell in row.cells]))
    for row in accuracy_rows(frame, groups, column, stat, chance, marks):
        left = [measured_cell(group, "macs_left", stat, None, digits=1) for group in groups.row(row.label)]
        rows.append((row, [(replace(cell, notes=()), found) for cell, found in zip(left, row.cells, strict=True)]))
    front = _front([pair for _, pairs in rows for pair in pairs])
    return Table(
        name="pareto",
        title=f"Test accuracy (%) of {subject(frame)} beside multiply-adds left (%)",
        corner="Method",
        columns=tuple(
            Column(heading=part, group=name) for name in headings(groups) for part in ("MACs left", "accuracy")
        ),
        rows=tuple(_noted(row, pairs, front) for row, pairs in rows),
        caption=(
            f"By the {ACCURACIES[accuracy]}. "
            "Multiply-adds with the weights that sparsity counts, for one input, each layer weighted by its density, "
            "in percent of the dense network's.",
            *common_caption(frame, stat),
        ),
        marks=f"Accuracies are marked, multiply-adds are not. {RULE}",
        untold=untold({heading(target): found for target, found in marks.items()}),
        facts={"accuracy": accuracy, "stat": stat},
        roles=Roles(group="sparsity", heading="measure"),
    )


def _front(pairs: list[Pair]) -> set[tuple[float, float]]:
    return set(pareto_front([point for pair in pairs if (point := _point(pair))]))


def _point(pair: Pair) -> tuple[float, float] | None:
    macs, accuracy = pair
    return None if macs.value is None or accuracy.value is None else (macs.value, accuracy.value)


def _noted(row: TableRow, pairs: list[Pair], front: set[tuple[float, float]]) -> TableRow:
    """The row with the cells of its pairs, and a sign at accuracies on the front; dense rows have none."""
    cells = []
    for pair in pairs:
        macs, accuracy = pair
        if _point(pair) in front and not row.is_reference:
            accuracy = replace(accuracy, notes=(*accuracy.notes, Note("⋆", FRONT)))
        cells += [macs, accuracy]
    return replace(row, cells=tuple(cells))
