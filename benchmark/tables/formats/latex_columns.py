"""The columns of a table in LaTeX: source of each cell, and the width of each column at 10 pt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from ..table import INDISTINCT, Cell, Column, Table, symbols
from .latex_text import escape, width_of

BOLD = 1.16
"""Bold characters by regular ones, in width."""

SCRIPT = 0.85
"""Superscripts and small text by the text around them, in width."""

THIN = 1.7
"""Points of a thin space."""


@dataclass(frozen=True)
class Piece:
    """A cell: a number that ends at its column's right edge and what follows it, or one text over both."""

    number: str = ""
    behind: str = ""
    text: str = ""
    number_width: float = 0.0
    behind_width: float = 0.0
    text_width: float = 0.0


@dataclass(frozen=True)
class LatexColumn:
    """A column of numbers and, if any cell needs it, a column of what follows them."""

    column: Column
    pieces: tuple[Piece, ...]

    @cached_property
    def span(self) -> int:
        return 2 if any(piece.behind for piece in self.pieces) else 1

    @property
    def layout(self) -> str:
        return "r@{}l" if self.span == 2 else "r"

    @cached_property
    def content_width(self) -> float:
        numbers, behind, texts = (
            max((getattr(piece, part) for piece in self.pieces), default=0.0)
            for part in ("number_width", "behind_width", "text_width")
        )
        return max(numbers + behind, texts)

    @cached_property
    def heading(self) -> list[str]:
        """Lines of the heading: not wider than the cells, where words are not."""
        lines: list[str] = []
        for word in re.findall(r"[^\s-]+-?|-", self.column.heading):
            joined = f"{lines[-1]}{'' if lines[-1].endswith('-') else ' '}{word}" if lines else ""
            if lines and width_of(joined) <= max(self.content_width, width_of("000.00")):
                lines[-1] = joined
            else:
                lines.append(word)
        return lines or [""]

    @cached_property
    def width(self) -> float:
        return max(self.content_width, *map(width_of, self.heading))


def columns_of(table: Table) -> list[LatexColumn]:
    """The columns of a table; numbers of one block and column have the same number of decimals in width."""
    hides_runs = common_runs(table) is not None
    columns = []
    for index, column in enumerate(table.columns):
        pieces = []
        for _, rows in table.blocks:
            cells = [row.cells[index] for row in rows]
            decimals = max((cell.digits for cell in cells if cell.number), default=0)
            pieces += [_piece(cell, decimals, hides_runs) for cell in cells]
        columns.append(LatexColumn(column, tuple(pieces)))
    return columns


def common_runs(table: Table) -> str | None:
    """The number of runs that every cell with one shows, which is said once below the table; None if they differ."""
    found = {cell.runs for row in table.rows for cell in row.cells if cell.runs}
    return next(iter(found)) if len(found) == 1 and "/" not in "".join(found) else None


def _piece(cell: Cell, decimals: int, hides_runs: bool) -> Piece:
    runs = "" if hides_runs else cell.runs
    signs = (INDISTINCT if cell.is_indistinct else "") + symbols(cell)
    behind, behind_width = "", 0.0
    if cell.rounded_spread:
        behind += rf"\,$\pm$\,{cell.rounded_spread}"
        behind_width += 2 * THIN + width_of(f"±{cell.rounded_spread}")
    if runs:
        # Brackets right behind a number would read as the uncertainty of its last digits.
        behind += rf"\,{{\scriptsize $n{{=}}{runs}$}}"
        behind_width += THIN + SCRIPT * width_of(f"n={runs}")
    if signs:
        behind += rf"\textsuperscript{{{escape(signs)}}}"
        behind_width += SCRIPT * width_of(signs)
    if not cell.number:
        return Piece(text=escape(cell.text) + behind, text_width=width_of(cell.text) + behind_width)
    return Piece(_number(cell, decimals), behind, "", _number_width(cell, decimals), behind_width)


def _number(cell: Cell, decimals: int) -> str:
    shown = cell.number.replace("-", "$-$").replace("+", "$+$")
    command = {"best": "textbf", "second": "underline", "": ""}[cell.mark]
    padding = _padding(cell, decimals)
    marked = rf"\{command}{{{shown}}}" if command else shown
    return marked + (rf"\phantom{{{padding}}}" if padding else "")


def _padding(cell: Cell, decimals: int) -> str:
    """Digits that are not there: numbers end at the right edge, so that points are below each other."""
    missing = "0" * (decimals - cell.digits)
    return f".{missing}" if missing and cell.digits == 0 else missing


def _number_width(cell: Cell, decimals: int) -> float:
    factor = BOLD if cell.mark == "best" else 1.0
    return factor * width_of(cell.number.replace("-", "−")) + width_of(_padding(cell, decimals))
