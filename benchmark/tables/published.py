"""Ours beside printed numbers: one block a sparsity, one line a method, with the difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..analysis.frame_type import Frame
from ..analysis.published import PAPER, Published, marks, stands_beside
from ..runs.run import DENSE
from .accuracy import dense_rows, group_marks
from .caption import ACCURACIES, accuracy_column, common_caption, has_uneven_counts, subject
from .cell import MAX_MISS, NO_TARGET, Group, Stat, heading, measured_cell, split_groups
from .marks import PRINTED_RULE, RULE, ColumnMarks, untold
from .older import is_older
from .table import Cell, Column, Note, Table, TableRow

if TYPE_CHECKING:
    from ..studies.load import Study

Measure = Literal["accuracy", "macs_pruned"]
CITED_OFF_BLOCK = "the cited sparsity is more than 0.5 points off that of its block in the paper"
OFF_BLOCK = "the sparsity reached is more than 0.5 points off that of the paper's block, so not compared for best"
COLUMNS = ("sparsity reached", "ours", "cited sparsity", "cited", "ours - cited")


@dataclass(frozen=True)
class Line:
    """One line of the table: a group of ours, a printed row, or both; `target` sorts the blocks."""

    block: str
    target: float
    label: str
    group: Group | None
    printed: Published | None

    @property
    def is_of_ranks(self) -> bool:
        """Whether the block is one of ranks, whose rows compare whatever their sparsity."""
        return self.target == 0 and self.block != heading(0)

    @property
    def is_comparable(self) -> bool:
        """Whether ours may be the best of its block."""
        if self.group is None or self.is_off_block or self.group.is_off_target:
            return False
        return self.is_of_ranks or self.group.has_target

    @property
    def is_off_block(self) -> bool:
        """Whether ours reached another sparsity than the block's."""
        if self.group is None or self.target == 0 or self.group.done.empty:
            return False
        return abs(float(self.group.done["sparsity"].mean()) - self.target) > MAX_MISS


def pair_lines(study: Study, frame: Frame, printed: list[Published]) -> list[Line]:
    """Every group of the study with the printed row beside it, then the printed rows that have none.

    Lines stand in the blocks of the paper; a group of ours that it has no block for makes its own.
    """
    candidates = [row for row in printed if row.method != DENSE]
    lines, used = [], set()
    for (label, target), group in _groups(frame).items():
        row = next(row for row in study.rows if row.label == label and row.sparsity == target)
        beside = [p for p in candidates if stands_beside(p, row)]
        nearest = min(beside, key=lambda p: abs((p.pruned or 0.0) - target), default=None)
        if nearest is None and row.method == DENSE:
            continue
        block, at = (nearest.block, nearest.target or 0.0) if nearest else _block_of(target, candidates)
        lines.append(Line(block, at, label, group, nearest))
        used.add(nearest)
    lines += [Line(p.block, p.target or 0.0, p.label, None, p) for p in candidates if p not in used]
    return sorted(lines, key=lambda line: line.target)


def _groups(frame: Frame) -> dict[tuple[str, float], Group]:
    """The pruned groups, and dense trainings of other networks than the study's, which a paper may list as a row."""
    dense = frame[frame["method"] == DENSE].groupby("label", sort=False)
    others = {(str(label), 0.0): Group(str(label), 0.0, rows) for label, rows in dense}
    return {**others, **split_groups(frame)}


def _block_of(target: float, printed: list[Published]) -> tuple[str, float]:
    """The paper's block of a sparsity, if one is near enough, else one of its own."""
    near = [p for p in printed if p.target is not None and abs(p.target - target) <= MAX_MISS + 1e-9]
    nearest = min(near, key=lambda p: abs((p.target or 0.0) - target), default=None)
    return (nearest.block, nearest.target or 0.0) if nearest else (heading(target), target)


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
    made = _Builder(frame, printed, lines, measure, column, stat, chance)
    rows = [*made.dense(), *(made.row(line) for line in lines)]
    what = "Test accuracy (%)" if measure == "accuracy" else "Multiply-adds pruned (%)"
    return Table(
        name="accuracy_published" if measure == "accuracy" else "flops_published",
        title=f"{what} of {subject(frame)}: ours and table {printed[0].table} of {PAPER}",
        corner="Method",
        columns=tuple(Column(heading=name) for name in COLUMNS),
        rows=tuple(rows),
        caption=(*_protocol(measure, accuracy), *common_caption(frame, stat)),
        marks=f"Ours: {RULE[0].lower()}{RULE[1:]} Cited: {PRINTED_RULE[0].lower()}{PRINTED_RULE[1:]}",
        untold=untold(made.marks),
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


def _block_marks(lines: list[Line], column: str, chance: float | None) -> dict[str, ColumnMarks]:
    """Marks of ours by block, within it by the names of the groups."""
    blocks: dict[str, list[Group]] = {}
    for line in lines:
        if line.group is not None and line.is_comparable and not is_older(line.group.rows):
            blocks.setdefault(line.block, []).append(line.group)
    return {block: group_marks(groups, column, chance) for block, groups in blocks.items()}


class _Builder:
    """The cells of a line, given everything that is the same for all lines."""

    def __init__(
        self,
        frame: Frame,
        printed: list[Published],
        lines: list[Line],
        measure: Measure,
        column: str,
        stat: Stat,
        chance: float | None,
    ) -> None:
        self.frame, self.printed, self.measure, self.column = frame, printed, measure, column
        self.stat: Stat = stat
        self.chance = chance
        self.digits = 2 if measure == "accuracy" else 1
        self.marks = _block_marks(lines, column, chance) if measure == "accuracy" else {}
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
        reached, ours = self._ours(line)
        printed = self._cited(line.printed)
        cells = (reached, ours, self._printed_sparsity(line.printed), printed, self._difference(ours, line.printed))
        return TableRow(label=line.label, cells=cells, block=line.block, cited=line.group is None)

    def _ours(self, line: Line) -> tuple[Cell, Cell]:
        group = line.group
        if group is None:
            return Cell(), Cell()
        cell = measured_cell(group, self.column, scale=100, digits=self.digits, stat=self.stat, chance=self.chance)
        if line.is_of_ranks:
            cell = replace(cell, notes=tuple(note for note in cell.notes if note.meaning != NO_TARGET))
        marks = self.marks.get(line.block, ColumnMarks())
        done = group.done["sparsity"]
        notes = (Note("△", OFF_BLOCK),) if line.is_off_block else ()
        reached = Cell(value=100 * float(done.mean()), notes=notes) if len(done) else Cell()
        return reached, marks.on(group.name, replace(cell, shows_count=self.shows_count))

    def _cited(self, printed: Published | None) -> Cell:
        value = None if printed is None else getattr(printed, self.measure)
        if printed is None or value is None:
            return Cell(text="–" if printed is not None else "")
        spread = printed.accuracy_std if self.measure == "accuracy" else None
        mark = self.printed_marks.get(printed, "")
        notes = (Note("¹", "said in the paper", f"{printed.label}: {printed.note}"),) if printed.note else ()
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
