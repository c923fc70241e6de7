"""Ours beside printed numbers: one block a sparsity, one line a method, with the difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from .cells import Cell, Column, Mark, Note, Table, TableRow
from .published import PAPER, Published, marks, stands_beside
from .report_types import Frame
from .run import DENSE
from .table_accuracy import column_marks, dense_rows
from .table_caption import ACCURACIES, accuracy_column, common_caption, has_uneven_counts, subject
from .table_cells import MAX_MISS, Group, Stat, heading, measured_cell, percent, split_groups
from .table_marks import PRINTED_RULE, RULE

if TYPE_CHECKING:
    from .study import Study

Measure = Literal["accuracy", "macs_pruned"]
OFF_BLOCK = "the cited sparsity is more than 0.5 points off that of its block in the paper"
COLUMNS = ("sparsity reached", "ours", "cited sparsity", "cited", "ours - cited")


@dataclass(frozen=True)
class Line:
    """One line of the table: a group of ours, a printed row, or both; `target` sorts the blocks."""

    block: str
    target: float
    label: str
    group: Group | None
    printed: Published | None


def pair_lines(study: Study, frame: Frame, printed: list[Published]) -> list[Line]:
    """Every pruned group of the study with the printed row beside it, then the printed rows that have none."""
    groups = split_groups(frame)
    lines, used = [], set()
    for (label, target), group in groups.items():
        row = next(row for row in study.rows if row.label == label and row.sparsity == target)
        beside = [p for p in printed if p.method != DENSE and stands_beside(p, row)]
        nearest = min(beside, key=lambda p: abs((p.sparsity or 0.0) - target), default=None)
        block = nearest.block if nearest and nearest.target is None else heading(target)
        lines.append(Line(block, target, label, group, nearest))
        used.add(nearest)
    targets = sorted({line.target for line in lines if line.group is not None})
    lines += [_cited(p, targets) for p in printed if p.method != DENSE and p not in used]
    return sorted(lines, key=lambda line: line.target)


def _cited(printed: Published, targets: list[float]) -> Line:
    """A printed row alone, in the block of the study that is nearest, where one is near enough."""
    if printed.target is None:
        return Line(printed.block, 0.0, printed.label, None, printed)
    nearest = min(targets, key=lambda target: abs(target - (printed.target or 0.0)), default=printed.target)
    target = nearest if abs(nearest - printed.target) <= MAX_MISS + 1e-9 else printed.target
    return Line(percent(target), target, printed.label, None, printed)


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
    made = _Builder(frame, printed, measure, column, stat, chance)
    rows = [*made.dense(), *(made.row(line) for line in pair_lines(study, frame, printed))]
    what = "Test accuracy (%)" if measure == "accuracy" else "Multiply-adds pruned (%)"
    return Table(
        name="accuracy_published" if measure == "accuracy" else "flops_published",
        title=f"{what} of {subject(frame)}: ours and table {printed[0].table} of {PAPER}",
        corner="Method",
        columns=tuple(Column(heading=name) for name in COLUMNS),
        rows=tuple(rows),
        caption=(*_protocol(measure, accuracy), *common_caption(frame, stat)),
        marks=f"Ours: {RULE[0].lower()}{RULE[1:]} Cited: {PRINTED_RULE[0].lower()}{PRINTED_RULE[1:]}",
        facts={"published_table": printed[0].table, "source": PAPER, "measure": measure, "accuracy": accuracy},
    )


def _protocol(measure: Measure, accuracy: str) -> list[str]:
    printed = (
        f"Cited numbers are those printed in {PAPER}; they enter no mean, interval or test, and a difference to them "
        "has no interval."
    )
    if measure == "macs_pruned":
        return [printed]
    like = "" if accuracy == "best_test" else "; the paper prints the best test epoch (--accuracy best_test)"
    return [f"Ours: {ACCURACIES[accuracy]}{like}.", printed]  # pyright: ignore[reportArgumentType]


class _Builder:
    """The cells of a line, given everything that is the same for all lines."""

    def __init__(
        self, frame: Frame, printed: list[Published], measure: Measure, column: str, stat: Stat, chance: float | None
    ) -> None:
        self.frame, self.printed, self.measure, self.column = frame, printed, measure, column
        self.stat: Stat = stat
        self.chance = chance
        self.digits = 2 if measure == "accuracy" else 1
        self.groups = split_groups(frame)
        self.printed_marks = marks(printed, measure) if measure == "accuracy" else {}
        self.shows_count = has_uneven_counts(frame)

    def dense(self) -> list[TableRow]:
        printed = next((row for row in self.printed if row.method == DENSE), None)
        if self.measure != "accuracy" or printed is None:
            return []
        rows = dense_rows(self.frame, self.column, self.stat, 1)
        ours = rows[0].cells[0] if rows else Cell()
        cells = (Cell(), ours, Cell(), self._cited(printed), self._difference(ours, printed))
        return [TableRow(label="Dense", cells=cells, block="dense", is_reference=True)]

    def row(self, line: Line) -> TableRow:
        reached, ours = self._ours(line.group)
        printed = self._cited(line.printed)
        cells = (reached, ours, self._printed_sparsity(line.printed), printed, self._difference(ours, line.printed))
        return TableRow(label=line.label, cells=cells, block=line.block, cited=line.group is None)

    def _ours(self, group: Group | None) -> tuple[Cell, Cell]:
        if group is None:
            return Cell(), Cell()
        mark: Mark = ""
        if self.measure == "accuracy":
            mark = column_marks(self.groups, group.target, self.column, self.chance).get(group.label, "")
        cell = measured_cell(
            group, self.column, scale=100, digits=self.digits, stat=self.stat, mark=mark, chance=self.chance
        )
        done = group.done["sparsity"]
        reached = Cell(value=100 * float(done.mean())) if len(done) else Cell()
        return reached, replace(cell, shows_count=self.shows_count)

    def _cited(self, printed: Published | None) -> Cell:
        value = None if printed is None else getattr(printed, self.measure)
        if printed is None or value is None:
            return Cell(text="–" if printed is not None else "")
        spread = printed.accuracy_std if self.measure == "accuracy" else None
        mark = self.printed_marks.get(printed, "")
        notes = (Note("*", "said in the paper", f"{printed.label}: {printed.note}"),) if printed.note else ()
        return Cell(value=value, spread=spread, digits=self.digits, mark=mark, cited=True, notes=notes)

    def _printed_sparsity(self, printed: Published | None) -> Cell:
        if printed is None or printed.sparsity is None:
            return Cell()
        notes = (Note("⋄", OFF_BLOCK),) if printed.is_off_block else ()
        return Cell(value=100 * printed.sparsity, cited=True, notes=notes)

    def _difference(self, ours: Cell, printed: Published | None) -> Cell:
        theirs = None if printed is None else getattr(printed, self.measure)
        if ours.value is None or theirs is None:
            return Cell()
        return Cell(value=ours.value - theirs, digits=self.digits, signed=True)
