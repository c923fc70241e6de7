"""Accuracy against sparsity: a row for each method, a column for each sparsity, dense training on top."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..analysis.frame_type import Frame
from ..analysis.paired import MIN_INTERVAL
from ..runs.run import DENSE
from .caption import ACCURACIES, accuracy_column, common_caption, has_uneven_counts, subject
from .cell import Group, Stat, heading, headings, is_collapsed, labels, measured_cell, split_groups, spread, targets
from .marks import RULE, ColumnMarks, marks_by_seed, untold
from .older import age_notes
from .table import Cell, Column, Table, TableRow


def accuracy_table(frame: Frame, accuracy: str = "last", stat: Stat = "std", chance: float | None = None) -> Table:
    """Mean accuracies in percent. `chance` is the accuracy of guessing a class, to mark collapsed runs."""
    column = accuracy_column(accuracy)
    groups, sparsities = split_groups(frame), targets(frame)
    marks = {target: column_marks(groups, target, column, chance) for target in sparsities}
    shows_count = has_uneven_counts(frame)

    def cell(label: str, target: float) -> Cell:
        group = groups.get((label, target))
        made = measured_cell(group, column, scale=100, digits=2, stat=stat, chance=chance)
        made = replace(made, shows_count=shows_count)
        return made if group is None else marks[target].on(group.name, made)

    rows = [TableRow(label=label, cells=tuple(cell(label, t) for t in sparsities)) for label in labels(frame)]
    protocol = ACCURACIES[accuracy]  # pyright: ignore[reportArgumentType]
    return Table(
        name="accuracy",
        title=f"Test accuracy (%) of {subject(frame)} by sparsity",
        corner="Method",
        columns=tuple(Column(heading=name) for name in headings(sparsities)),
        rows=(*dense_rows(frame, column, stat, max(1, len(sparsities))), *rows),
        caption=(f"{protocol[0].upper()}{protocol[1:]}.", *common_caption(frame, stat)),
        marks=RULE,
        untold=untold({heading(target): found for target, found in marks.items()}),
        facts={"accuracy": accuracy, "protocol": protocol, "stat": stat},
    )


def column_marks(
    groups: dict[tuple[str, float], Group], target: float, column: str, chance: float | None
) -> ColumnMarks:
    """Marks of one sparsity by the names of the groups; rows off it take no part."""
    there = [group for (_, at), group in groups.items() if at == target and group.is_comparable]
    return group_marks(there, column, chance)


def group_marks(groups: Iterable[Group], column: str, chance: float | None) -> ColumnMarks:
    """Marks of groups that may be compared, by their names; one with a collapsed run never has a mark."""
    by_name = {group.name: group for group in groups}
    barred = {name for name, group in by_name.items() if is_collapsed(group.done, chance).any()}
    return marks_by_seed({name: group.done for name, group in by_name.items()}, column, barred)


def dense_rows(frame: Frame, column: str, stat: Stat, width: int) -> list[TableRow]:
    """A row for each label of dense training, over every column; without one, that of the trainings runs start from."""
    dense = frame[(frame["method"] == DENSE) & (frame["target"] == 0)]
    rows = []
    for label, group in dense.groupby("label", sort=False):
        values = [float(value) for value in group[column].dropna()]
        rows.append(_noted(_dense_row(str(label), values, len(group), stat, width), group))
    if not rows and column == "accuracy_last":
        # Before pruning, a run is its dense training at its last epoch.
        parents = frame[frame["parent"].notna()].drop_duplicates("parent")
        values = [float(value) for value in parents["accuracy_before"].dropna()]
        row = _dense_row("Dense", values, len(parents), stat, width)
        # Of the method's own code the dense training knows nothing.
        rows = [_noted(row, parents[parents["outdated"] != "method"])] if len(parents) else []
    return rows


def _noted(row: TableRow, group: Frame) -> TableRow:
    notes = age_notes(row.label, group)
    return replace(row, cells=tuple(replace(cell, notes=(*cell.notes, *notes)) for cell in row.cells))


def _dense_row(label: str, values: list[float], expected: int, stat: Stat, width: int) -> TableRow:
    if not values:
        return TableRow(
            label=label, cells=(Cell(text="missing", count=0, expected=expected),) * width, is_reference=True
        )
    cell = Cell(
        value=100 * sum(values) / len(values),
        spread=_percent(spread(values, stat)),
        count=len(values),
        expected=expected,
        shows_count=len(values) < MIN_INTERVAL and expected > 1,
    )
    return TableRow(label=label, cells=(cell,) * width, is_reference=True)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
