"""Ours beside printed numbers: one block a sparsity, one line a method, with the difference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.frame_type import Frame
from ..analysis.groups import Group, subject
from ..analysis.older import is_older
from ..analysis.published import PAPER, Published
from ..analysis.published_lines import Line, pair_lines
from ..analysis.spread import Stat
from ..runs.run import DENSE
from .accuracy import dense_rows, group_marks
from .caption import common_caption, has_uneven_counts
from .cell import NO_TARGET, measured_cell
from .marks import PRINTED_RULE, RULE, ColumnMarks, marks_by_value, untold
from .table import Cell, Column, Mark, Note, Roles, Table, TableRow

if TYPE_CHECKING:
    from ..studies.load import Study

Measure = Literal["accuracy", "macs_pruned"]
CITED_OFF_BLOCK = "the cited sparsity is more than 0.5 points off that of its block in the paper"
OFF_BLOCK = "the sparsity reached is more than 0.5 points off that of the paper's block, so not compared for best"
COLUMNS = ("sparsity reached", "ours", "cited sparsity", "cited", "ours - cited")


def published_table(
    study: Study,
    frame: Frame,
    printed: list[Published],
    measure: Measure,
    accuracy: str = "last",
    stat: Stat = "std",
    chance: float | None = None,
) -> Table:
    """Accuracy, or share of multiply-adds pruned, in percent. Differences are ours minus printed."""
    column = accuracy_column(accuracy) if measure == "accuracy" else "macs_pruned"
    lines = pair_lines(study, frame, printed)
    is_accuracy = measure == "accuracy"
    marks = _block_marks(lines, column, chance) if is_accuracy else {}
    made = _Rows(
        measure=measure,
        column=column,
        stat=stat,
        chance=chance,
        marks=marks,
        printed_marks=printed_marks(printed) if is_accuracy else {},
        shows_count=has_uneven_counts(frame),
    )
    rows = [*(made.dense(frame, printed) if is_accuracy else []), *(made.row(line) for line in lines)]
    what = "Test accuracy (%)" if is_accuracy else "Multiply-adds pruned (%)"
    return Table(
        name="accuracy_published" if is_accuracy else "macs_published",
        title=f"{what} of {subject(frame)}: ours and table {printed[0].table} of {PAPER}",
        corner="Method",
        columns=tuple(Column(heading=name) for name in COLUMNS),
        rows=tuple(rows),
        caption=(*_protocol(measure, accuracy), *common_caption(frame, stat)),
        marks=f"Ours: {RULE[0].lower()}{RULE[1:]} Cited: {PRINTED_RULE[0].lower()}{PRINTED_RULE[1:]}",
        untold=untold(marks),
        facts={
            "published_table": printed[0].table,
            "source": PAPER,
            "measure": measure,
            "accuracy": accuracy,
            "stat": stat,
        },
        roles=Roles(block="sparsity", heading="measure"),
    )


def _protocol(measure: Measure, accuracy: str) -> list[str]:
    printed = (
        f"Cited numbers are those printed in {PAPER}; they enter no mean, interval or test, and a difference to them "
        "has no interval."
    )
    if measure == "macs_pruned":
        return [printed]
    like = "" if accuracy == "best_test" else "; the paper prints the best test epoch (--accuracy best_test)"
    return [f"Ours: {ACCURACIES[accuracy]}{like}.", printed]


def _block_marks(lines: list[Line], column: str, chance: float | None) -> dict[str, ColumnMarks]:
    """Marks of ours by block, within it by the names of the groups."""
    blocks: dict[str, list[Group]] = {}
    for line in lines:
        if line.group is not None and line.is_comparable and not is_older(line.group.rows):
            blocks.setdefault(line.block, []).append(line.group)
    return {block: group_marks(groups, column, chance) for block, groups in blocks.items()}


def printed_marks(rows: Iterable[Published]) -> dict[Published, Mark]:
    """Best and second best of each block by the printed accuracies; dense rows are not compared."""
    blocks: dict[str, dict[Published, float]] = {}
    for row in rows:
        if row.method != DENSE:
            blocks.setdefault(row.block, {})[row] = row.accuracy
    return {row: mark for values in blocks.values() if len(values) > 1 for row, mark in marks_by_value(values).items()}


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Makes the row of a line; its attributes are the same for all lines."""

    measure: Measure
    column: str
    stat: Stat
    chance: float | None
    marks: dict[str, ColumnMarks]
    printed_marks: dict[Published, Mark]
    shows_count: bool

    @property
    def digits(self) -> int:
        return 2 if self.measure == "accuracy" else 1

    def dense(self, frame: Frame, printed: list[Published]) -> list[TableRow]:
        cited = next((row for row in printed if row.method == DENSE), None)
        if cited is None:
            return []
        rows = dense_rows(frame, self.column, self.stat, 1)
        ours = rows[0].cells[0] if rows else Cell()
        cells = (Cell(), ours, Cell(), self._cited(cited), self._difference(ours, cited))
        return [TableRow(label="Dense", cells=cells, block="dense", is_reference=True)]

    def row(self, line: Line) -> TableRow:
        reached, ours = self._ours(line)
        printed = self._cited(line.printed)
        cells = (reached, ours, self._printed_sparsity(line.printed), printed, self._difference(ours, line.printed))
        return TableRow(label=line.label, cells=cells, block=line.block, cited=line.group is None)

    def _ours(self, line: Line) -> tuple[Cell, Cell]:
        group = line.group
        if group is None:
            return Cell(), Cell()
        cell = measured_cell(
            group, self.column, self.stat, self.chance, digits=self.digits, shows_count=self.shows_count
        )
        if line.is_of_ranks:
            cell = replace(cell, notes=tuple(note for note in cell.notes if note.meaning != NO_TARGET))
        marks = self.marks.get(line.block, ColumnMarks())
        notes = (Note("△", OFF_BLOCK),) if line.is_off_block else ()
        reached = Cell() if group.reached is None else Cell(value=100 * group.reached, notes=notes)
        return reached, marks.on(group.name, cell)

    def _cited(self, printed: Published | None) -> Cell:
        value = None if printed is None else getattr(printed, self.measure)
        if printed is None or value is None:
            return Cell(text="–" if printed is not None else "")
        spread = printed.accuracy_std if self.measure == "accuracy" else None
        mark = self.printed_marks.get(printed, "")
        notes = (Note("¹", "said in the paper", printed.label, fact=f": {printed.note}"),) if printed.note else ()
        return Cell(value=value, spread=spread, digits=self.digits, mark=mark, cited=True, notes=notes)

    def _printed_sparsity(self, printed: Published | None) -> Cell:
        if printed is None or printed.sparsity is None:
            return Cell()
        notes = (Note("⋄", CITED_OFF_BLOCK),) if printed.is_off_block else ()
        return Cell(value=100 * printed.sparsity, cited=True, notes=notes)

    def _difference(self, ours: Cell, printed: Published | None) -> Cell:
        theirs = None if printed is None else getattr(printed, self.measure)
        if ours.value is None or theirs is None:
            return Cell()
        return Cell(value=ours.value - theirs, digits=self.digits, signed=True)
