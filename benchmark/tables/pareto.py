"""Accuracy beside multiply-adds: what each row keeps of both, and which rows no other one beats in both."""

from __future__ import annotations

from dataclasses import replace

from ..analysis.frame_type import Frame
from .accuracy import column_marks, dense_rows
from .caption import ACCURACIES, accuracy_column, common_caption, has_uneven_counts, subject
from .cell import Stat, heading, headings, labels, measured_cell, split_groups, targets
from .marks import RULE, untold
from .table import Cell, Column, Note, Table, TableRow

FRONT = "on the Pareto front of the means: no other row and sparsity has at least its accuracy with fewer multiply-adds"


def pareto_front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (cost, value) points that no other beats in both, by rising cost: less cost and more value are better."""
    front: list[tuple[float, float]] = []
    for cost, value in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((cost, value))
    return front


def macs_table(frame: Frame, accuracy: str = "last", stat: Stat = "std", chance: float | None = None) -> Table:
    """Two columns for each sparsity: multiply-adds left in percent of the dense network, and accuracy in percent."""
    column = accuracy_column(accuracy)
    groups, sparsities, shows_count = split_groups(frame), targets(frame), has_uneven_counts(frame)
    marks = {target: column_marks(groups, target, column, chance) for target in sparsities}
    left = frame.assign(macs_left=1 - frame["macs_pruned"].astype(float))
    left_groups = split_groups(left)

    def pair(label: str, target: float) -> tuple[Cell, Cell]:
        key = (label, target)
        macs = measured_cell(left_groups.get(key), "macs_left", scale=100, digits=1, stat=stat, chance=None)
        made = measured_cell(groups.get(key), column, scale=100, digits=2, stat=stat, chance=chance)
        made = replace(made, shows_count=shows_count)
        group = groups.get(key)
        return replace(macs, notes=()), made if group is None else marks[target].on(group.name, made)

    rows = {label: [pair(label, target) for target in sparsities] for label in labels(frame)}
    dense = dense_rows(frame, column, stat, 1)
    reached = [_point(*cells) for pairs in rows.values() for cells in pairs]
    reached += [(100.0, row.cells[0].value) for row in dense]
    front: set[tuple[float | None, float | None]] = set()
    front.update(pareto_front([(macs, value) for macs, value in reached if macs is not None and value is not None]))
    whole = Cell(value=100.0, digits=1)
    return Table(
        name="macs",
        title=f"Test accuracy (%) of {subject(frame)} beside multiply-adds left (%)",
        corner="Method",
        columns=tuple(
            Column(heading=part, group=name) for name in headings(sparsities) for part in ("MACs left", "accuracy")
        ),
        rows=(
            *(replace(row, cells=(whole, row.cells[0]) * max(1, len(sparsities))) for row in dense),
            *(
                TableRow(label=label, cells=tuple(cell for cells in pairs for cell in _noted(cells, front)))
                for label, pairs in rows.items()
            ),
        ),
        caption=(
            f"By the {ACCURACIES[accuracy]}. "  # pyright: ignore[reportArgumentType]
            "Multiply-adds with the weights that sparsity counts, for one input, each layer weighted by its density, "
            "in percent of the dense network's.",
            *common_caption(frame, stat),
        ),
        marks=f"Accuracies are marked, multiply-adds are not. {RULE}",
        untold=untold({heading(target): found for target, found in marks.items()}),
        facts={"accuracy": accuracy, "stat": stat},
    )


def _point(macs: Cell, accuracy: Cell) -> tuple[float | None, float | None]:
    return macs.value, accuracy.value


def _noted(cells: tuple[Cell, Cell], front: set[tuple[float | None, float | None]]) -> tuple[Cell, Cell]:
    macs, accuracy = cells
    if _point(macs, accuracy) not in front:
        return cells
    return macs, replace(accuracy, notes=(*accuracy.notes, Note("⋆", FRONT)))
