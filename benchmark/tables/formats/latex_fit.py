"""How a table fits the text of a page: type size, gaps, and the parts that it is split into.

Sizes are those of LaTeX's class `article` at 10 pt, whose text is 345 pt wide and 550 pt high. Widths are estimates
from the characters of Computer Modern; `tests/tables/test_latex_fit.py` compares them with LaTeX where it is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise

from ..table import Table, TableRow
from .latex_columns import LatexColumn

TEXT_WIDTH = 345.0
TEXT_HEIGHT = 500.0
"""Points of a page, less caption and the space around a table."""

SAFETY = 1.01
"""Estimates are a percent too small at worst."""

WIDEST_LABEL = 150.0
"""Points at 10 pt that names of rows take; longer ones are broken into lines."""

MIN_ROWS = 10
"""Rows of a tabular however long the notes are."""

HEAD_LINES = 5
"""Lines that rules and gaps of a tabular take beside its headings and rows."""


@dataclass(frozen=True)
class TypeSize:
    """A size of LaTeX: widths by those at 10 pt, points from line to line, and half the gap between columns."""

    command: str
    scale: float
    line: float
    gap: float


SIZES = (
    TypeSize("small", 0.93, 11.0, 5.0),
    TypeSize("small", 0.93, 11.0, 3.5),
    TypeSize("footnotesize", 0.855, 9.5, 4.0),
    TypeSize("footnotesize", 0.855, 9.5, 2.5),
)
"""Tried in this order before a table is split further."""

Indices = list[int]
"""Columns by number."""

Blocks = list[tuple[str, list[TableRow]]]
"""Rows under the name of their block."""


def fitting(label_width: float, columns: Sequence[LatexColumn]) -> tuple[TypeSize, list[Indices]]:
    """The size, and the columns of each part: as few parts as fit. Columns with a common heading stay together."""
    keyed = groupby(range(len(columns)), key=lambda i: columns[i].column.group or i)
    for units in ([list(members) for _, members in keyed], [[i] for i in range(len(columns))]):
        for count in range(1, len(units) + 1):
            cuts = [len(units) * i // count for i in range(count + 1)]
            parts = [list(chain.from_iterable(units[start:end])) for start, end in pairwise(cuts)]
            for size in SIZES:
                if all(_width(label_width, [columns[i] for i in part], size) <= TEXT_WIDTH for part in parts):
                    return size, parts
    return SIZES[-1], [[i] for i in range(len(columns))] or [[]]


def _width(label_width: float, columns: Sequence[LatexColumn], size: TypeSize) -> float:
    """Points of a tabular without a gap at its outer edges."""
    content = min(label_width, WIDEST_LABEL) + sum(column.width for column in columns)
    return SAFETY * size.scale * content + 2 * size.gap * len(columns)


def rows_of_page(size: TypeSize, notes: float) -> int:
    """Rows of a tabular that leave room for notes of this height on a page."""
    return max(MIN_ROWS, int((TEXT_HEIGHT - notes) / size.line) - HEAD_LINES)


def split_rows(table: Table, limit: int) -> list[Blocks]:
    """Blocks of rows for tabulars of at most `limit` lines; blocks are split only if one is longer than that."""
    chunks: list[Blocks] = []
    for name, rows in table.blocks:
        for start in range(0, len(rows), limit):
            block = (name, rows[start : start + limit])
            if not chunks or num_lines([*chunks[-1], block]) > limit + bool(name):
                chunks.append([])
            chunks[-1].append(block)
    return chunks or [[]]


def num_lines(blocks: Blocks) -> int:
    """Lines of rows and of the names of their blocks."""
    return sum(len(rows) + bool(name) for name, rows in blocks)
