"""Bits per byte of a text against sparsity, and the perplexity that they are: less is better."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..analysis.bits import OF_BITS, bits_column
from ..analysis.curves import dense_levels
from ..analysis.failures import num_failed
from ..analysis.frame_type import Frame
from ..analysis.groups import Group, heading, is_collapsed, split_groups, subject
from ..analysis.spread import Stat
from .caption import common_caption, external_sentence, has_uneven_counts, sentences
from .cell import headings, mean_cell, measured_cell
from .marks import BITS_RULE, ColumnMarks, marks_by_seed, untold
from .table import Cell, Column, Roles, Table, TableRow

BITS, PERPLEXITY = "Bits per byte", "Perplexity per byte"
BEFORE = "perplexity_before"
DIGITS = 3


def bits_table(
    frame: Frame, accuracy: str = "last", stat: Stat = "std", chance: float | None = None, guessed: float | None = None
) -> Table:
    """Two blocks of rows: marked means of bits per byte, and means of their perplexity, two to their power.

    `guessed`: bits of guessing, which failed runs count with.
    """
    column = bits_column(accuracy)
    power = column.replace("bits", "perplexity")
    powers = {name: 2 ** frame[name.replace("perplexity", "bits")].astype(float) for name in (power, BEFORE)}
    frame = frame.assign(**powers)
    groups = split_groups(frame)
    marks = {target: _marks(groups.comparable(target), column, chance) for target in groups.targets}
    width, shows_count = max(1, len(groups.targets)), has_uneven_counts(frame)
    rows = []
    for block, shown in {BITS: column, PERPLEXITY: power}.items():
        rows += [
            TableRow(label=level.label, cells=(_dense_cell(level.values, level.expected, stat),) * width, block=block,
                     is_reference=True)
            for level in dense_levels(frame, shown)
        ]  # fmt: skip
        for label in groups.labels:
            cells = [
                measured_cell(each, shown, stat, chance, scale=1.0, digits=DIGITS, shows_count=shows_count)
                for each in groups.row(label)
            ]
            if block == BITS:
                cells = [_marked(*pair, marks) for pair in zip(groups.row(label), cells, strict=True)]
            rows.append(TableRow(label=label, cells=tuple(cells), block=block))
    return Table(
        name="bits",
        title=f"Test bits per byte of {subject(frame)} by sparsity",
        corner="Method",
        columns=tuple(Column(heading=name) for name in headings(groups)),
        rows=tuple(rows),
        caption=sentences(
            f"Less is better. Bits per byte {OF_BITS[accuracy]}.",
            "They are the mean cross-entropy over all bytes of the test windows, each predicted from those before it in "
            "its window; perplexity is two to their power.",
            external_sentence(frame),
            f"A failed run counts with {guessed:g} bits, those of guessing." if guessed and num_failed(frame) else "",
            *common_caption(frame, stat),
        ),
        marks=BITS_RULE,
        untold=untold({heading(target): found for target, found in marks.items()}),
        facts={"accuracy": accuracy, "stat": stat},
        roles=Roles(block="measure"),
    )


def _marks(groups: Iterable[Group], column: str, chance: float | None) -> ColumnMarks:
    """By the negative of the bits, so that more is better; a row with a collapsed or failed run has no mark."""
    by_name = {group.name: group for group in groups}
    barred = {name for name, group in by_name.items() if is_collapsed(group.counted, chance).any()}
    rows = {
        name: group.counted.assign(**{column: -group.counted[column].astype(float)}) for name, group in by_name.items()
    }
    return marks_by_seed(rows, column, barred, digits=DIGITS - 2)


def _marked(group: Group | None, cell: Cell, marks: dict[float, ColumnMarks]) -> Cell:
    return cell if group is None else marks[group.target].on(group.name, cell)


def _dense_cell(values: list[float], expected: int, stat: Stat) -> Cell:
    if not values:
        return Cell(text="missing", count=0, expected=expected)
    return mean_cell(values, stat, expected=expected, scale=1.0, digits=DIGITS)
