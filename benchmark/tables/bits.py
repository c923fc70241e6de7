"""Bits per byte of a text against sparsity, and the perplexity that they are: less is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..analysis.bits import OF_BITS, bits_column
from ..analysis.failures import num_failed
from ..analysis.frame_type import Frame
from ..analysis.groups import Group, heading, is_collapsed, split_groups, subject
from ..analysis.spread import Stat
from .accuracy import dense_rows
from .caption import common_caption, external_sentence, has_uneven_counts, sentences
from .cell import headings, measured_cell
from .marks import BITS_RULE, ColumnMarks, marks_by_seed, untold
from .table import Cell, Column, Roles, Table, TableRow
from .training_cost import SENTENCE, TrainingCost

BITS, PERPLEXITY = "Bits per byte", "Perplexity per byte"
DIGITS = 3
MEANING = (
    "They are the mean cross-entropy over all bytes of the test windows, each predicted from those before it in its "
    "window; perplexity is two to their power."
)


def bits_table(
    frame: Frame, accuracy: str = "last", stat: Stat = "std", chance: float | None = None, guessed: float | None = None
) -> Table:
    """Two blocks of rows: marked means of bits per byte, and means of their perplexity, two to their power.

    `guessed`: bits of guessing, which failed runs count with.
    """
    column = bits_column(accuracy)
    frame, groups, cost = _with_perplexity(frame), split_groups(frame), TrainingCost(frame)
    marks = {target: _marks(groups.comparable(target), column, chance) for target in groups.targets}
    empty = (Cell(),) * len(cost.columns)
    rows = [
        *(
            replace(row, cells=(*row.cells, *cost.cells(frame[frame["label"] == row.label])))
            for row in _rows(frame, BITS, column, stat, chance, marks)
        ),
        *(
            replace(row, cells=(*row.cells, *empty))
            for row in _rows(frame, PERPLEXITY, column.replace("bits", "perplexity"), stat, chance, {})
        ),
    ]
    return Table(
        name="bits",
        title=f"Test bits per byte of {subject(frame)} by sparsity",
        corner="Method",
        columns=(*(Column(heading=name) for name in headings(groups)), *cost.columns),
        rows=tuple(rows),
        caption=sentences(
            f"Less is better. Bits per byte {OF_BITS[accuracy]}.",
            MEANING,
            SENTENCE,
            external_sentence(frame),
            f"A failed run counts with {guessed:g} bits, those of guessing." if guessed and num_failed(frame) else "",
            *common_caption(frame, stat),
        ),
        marks=BITS_RULE,
        untold=untold({heading(target): found for target, found in marks.items()}),
        facts={"accuracy": accuracy, "stat": stat},
        roles=Roles(block="measure"),
    )


def _with_perplexity(frame: Frame) -> Frame:
    names = [f"bits_{epoch}" for epoch in ("before", *OF_BITS)]
    return frame.assign(**{name.replace("bits", "perplexity"): 2 ** frame[name].astype(float) for name in names})


def _rows(
    frame: Frame, block: str, column: str, stat: Stat, chance: float | None, marks: Mapping[float, ColumnMarks]
) -> list[TableRow]:
    """Rows of dense training, then one for each label; marked where `marks` has its sparsity."""
    groups, shows_count = split_groups(frame), has_uneven_counts(frame)

    def cell(group: Group | None) -> Cell:
        made = measured_cell(group, column, stat, chance, scale=1.0, digits=DIGITS, shows_count=shows_count)
        return marks[group.target].on(group.name, made) if group is not None and group.target in marks else made

    width = max(1, len(groups.targets))
    return [
        *dense_rows(frame, column, stat, width, scale=1.0, digits=DIGITS, block=block),
        *(
            TableRow(label=label, cells=tuple(map(cell, groups.row(label))), block=block)
            for label in groups.labels
        ),
    ]  # fmt: skip


def _marks(groups: Iterable[Group], column: str, chance: float | None) -> ColumnMarks:
    """By the negative of the bits, so that more is better; a row with a collapsed or failed run has no mark."""
    by_name = {group.name: group for group in groups}
    barred = {name for name, group in by_name.items() if is_collapsed(group.counted, chance).any()}
    rows = {
        name: group.counted.assign(**{column: -group.counted[column].astype(float)}) for name, group in by_name.items()
    }
    return marks_by_seed(rows, column, barred, digits=DIGITS - 2)
