"""Accuracy against sparsity: a row for each method, a column for each sparsity, dense training on top."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..analysis.accuracy import ACCURACIES, NEVER_RANKED, UNRANKED, accuracy_column
from ..analysis.curves import DenseLevel, dense_levels
from ..analysis.frame_type import Frame
from ..analysis.groups import Group, Groups, heading, is_collapsed, split_groups, subject
from ..analysis.paired import MIN_INTERVAL
from ..analysis.spread import Stat
from .caption import common_caption, external_sentence, has_uneven_counts, sentences
from .cell import age_notes, failure_notes, headings, mean_cell, measured_cell
from .marks import RULE, ColumnMarks, marks_by_seed, untold
from .table import Cell, Column, Roles, Table, TableRow
from .training_cost import SENTENCE, TrainingCost


def accuracy_table(frame: Frame, accuracy: str = "last", stat: Stat = "std", chance: float | None = None) -> Table:
    """Mean accuracies in percent. `chance` is the accuracy of guessing a class, to mark collapsed runs."""
    column, groups = accuracy_column(accuracy), split_groups(frame)
    marks = marks_by_target(groups, column, chance)
    protocol, cost = ACCURACIES[accuracy], TrainingCost(frame)
    rows = (
        *dense_rows(frame, column, stat, max(1, len(groups.targets))),
        *accuracy_rows(frame, groups, column, stat, chance, marks),
    )
    return Table(
        name="accuracy",
        title=f"Test accuracy (%) of {subject(frame)} by sparsity",
        corner="Method",
        columns=(*(Column(heading=name) for name in headings(groups)), *cost.columns),
        rows=tuple(replace(row, cells=(*row.cells, *cost.cells(frame[frame["label"] == row.label]))) for row in rows),
        caption=sentences(
            f"{protocol[0].upper()}{protocol[1:]}.",
            NEVER_RANKED if accuracy in UNRANKED else "",
            SENTENCE,
            external_sentence(frame),
            *common_caption(frame, stat),
        ),
        marks=RULE,
        untold=untold({heading(target): found for target, found in marks.items()}),
        facts={"accuracy": accuracy, "protocol": protocol, "stat": stat},
        roles=Roles(measure="accuracy (%)"),
    )


def accuracy_rows(
    frame: Frame, groups: Groups, column: str, stat: Stat, chance: float | None, marks: dict[float, ColumnMarks]
) -> list[TableRow]:
    """A row of marked accuracies for each label, a cell for each sparsity."""
    shows_count = has_uneven_counts(frame)

    def cell(group: Group | None) -> Cell:
        made = measured_cell(group, column, stat, chance, shows_count=shows_count)
        return made if group is None else marks[group.target].on(group.name, made)

    return [TableRow(label=label, cells=tuple(map(cell, groups.row(label)))) for label in groups.labels]


def marks_by_target(groups: Groups, column: str, chance: float | None) -> dict[float, ColumnMarks]:
    """Marks of each sparsity by the names of the groups; groups off that sparsity are not compared."""
    return {target: group_marks(groups.comparable(target), column, chance) for target in groups.targets}


def group_marks(groups: Iterable[Group], column: str, chance: float | None) -> ColumnMarks:
    """Marks of groups that may be compared, by their names; one with a collapsed or failed run never has a mark.

    An accuracy that is chosen on the test set marks nothing.
    """
    if column in map(accuracy_column, UNRANKED):
        return ColumnMarks()
    by_name = {group.name: group for group in groups}
    barred = {name for name, group in by_name.items() if is_collapsed(group.counted, chance).any()}
    return marks_by_seed({name: group.counted for name, group in by_name.items()}, column, barred)


def dense_rows(
    frame: Frame, column: str, stat: Stat, width: int, *, scale: float = 100.0, digits: int = 2, block: str = ""
) -> list[TableRow]:
    """A row of `width` equal cells for each label of dense training."""
    return [
        TableRow(
            label=level.label, cells=(_dense_cell(level, stat, scale, digits),) * width, block=block, is_reference=True
        )
        for level in dense_levels(frame, column)
    ]  # fmt: skip


def _dense_cell(level: DenseLevel, stat: Stat, scale: float, digits: int) -> Cell:
    notes = (*age_notes((level.label,), level.rows), *failure_notes((level.label,), level.rows))
    if not level.values:
        return Cell(text="missing", count=0, expected=level.expected, notes=notes)
    shows_count = len(level.values) < MIN_INTERVAL and level.expected > 1
    return mean_cell(
        level.values, stat, expected=level.expected, scale=scale, digits=digits, notes=notes, shows_count=shows_count
    )  # fmt: skip
