"""A table as data: cells, columns, notes. Markdown, LaTeX, HTML, CSV and JSON are all written from this one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .note import Note as Note
from .note import joined

Mark = Literal["", "best", "second"]

INDISTINCT = "≈"
"""Sign of a cell that is not distinguishable from the best of its column; no note may use it."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number with its spread and number of runs, or text.

    Attributes:
        value: in the unit of its row or column, not rounded; None where there is none.
        spread: the number after the plus-minus, in the same unit; None for a single run.
        count: number of runs behind the value.
        expected: number of runs in the study.
        shows_count: print the count even if no run is missing.
        digits: decimals shown.
        signed: print a plus before positive numbers (differences).
        text: shown in place of a number.
        mark: best or second best by the mean alone.
        is_indistinct: not distinguishable from the best of its column over seeds; None if it was not compared.
        cited: from a publication, not measured here.
    """

    value: float | None = None
    spread: float | None = None
    count: int | None = None
    expected: int | None = None
    shows_count: bool = False
    digits: int = 2
    signed: bool = False
    text: str = ""
    mark: Mark = ""
    is_indistinct: bool | None = None
    cited: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def number(self) -> str:
        """The rounded value, empty if there is none."""
        if self.value is None:
            return ""
        sign = "+" if self.signed else ""
        shown = f"{self.value:{sign}.{self.digits}f}"
        # a rounded zero has no sign
        return shown.lstrip("+-") if float(shown) == 0 else shown

    @property
    def rounded_spread(self) -> str:
        return "" if self.value is None or self.spread is None else f"{self.spread:.{self.digits}f}"

    @property
    def runs(self) -> str:
        """`2/3` if runs are missing, `3` if the table shows counts, else empty."""
        if self.count is None or (self.value is None and self.count == self.expected):
            return ""
        if self.expected is not None and self.count != self.expected:
            return f"{self.count}/{self.expected}"
        return str(self.count) if self.shows_count else ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading; columns beside each other with the same `group` share a heading above.

    `measure` is what the column shows, if that is not what the table's roles say.
    """

    heading: str
    group: str = ""
    measure: str = ""

    @property
    def title(self) -> str:
        """One-line heading, for formats without merged headings."""
        return f"{self.group}: {self.heading}" if self.group and self.heading else self.group or self.heading


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A label and its cells. Rows with the same `block` are together under that heading."""

    label: str
    cells: tuple[Cell, ...]
    block: str = ""
    cited: bool = False
    is_reference: bool = False


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What the names of rows, blocks and columns are, for formats with a line for each cell.

    One of `sparsity`, `method`, `layer`, `setting`, `row` and `measure`, or empty if there are none. `measure` is what
    all cells show, if no name says it.
    """

    row: str = "method"
    block: str = ""
    group: str = ""
    heading: str = "sparsity"
    measure: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A whole table.

    Attributes:
        lead: the answer of the table in a sentence, if it has one.
        caption: sentences.
        marks: how the marks were found; follows the legend of the marks.
        untold: sentences on what could not be compared.
        study: its name, or those of several; for labels and files.
    """

    name: str
    title: str
    corner: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    lead: str = ""
    caption: tuple[str, ...] = ()
    marks: str = ""
    untold: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    study: str = ""
    roles: Roles = field(default_factory=Roles)

    @property
    def has_marks(self) -> bool:
        return any(cell.mark for row in self.rows for cell in row.cells)

    def sentences(self, escape: Callable[[str], str], best: str, second: str) -> list[str]:
        """The caption in the markup of a format; `best` and `second` name its two marks in that markup."""
        legend = f"{best}: best mean; {second}: second best; {escape(INDISTINCT)}: not distinguishable from the best."
        marks = [f"{legend} {escape(self.marks)}"] if self.has_marks else []
        lead = [escape(self.lead)] if self.lead else []
        return [*lead, *map(escape, self.caption), *marks, *map(escape, self.untold)]

    @property
    def blocks(self) -> list[tuple[str, list[TableRow]]]:
        """Rows by block, in order of appearance."""
        found: dict[str, list[TableRow]] = {}
        for row in self.rows:
            found.setdefault(row.block, []).append(row)
        return list(found.items())

    @property
    def footnotes(self) -> list[tuple[str, str]]:
        """(symbol, text) of every note in use, each once, with what it says of its cells."""
        found: dict[tuple[str, str], dict[Note, None]] = {}
        for row in self.rows:
            for cell in row.cells:
                for note in cell.notes:
                    found.setdefault((note.symbol, note.meaning), {})[note] = None
        return [
            (symbol, f"{meaning}: {details}." if (details := joined(list(notes))) else f"{meaning}.")
            for (symbol, meaning), notes in sorted(found.items(), key=lambda item: item[0])
        ]


def symbols(cell: Cell) -> str:
    """The note symbols of a cell, each once."""
    return "".join(dict.fromkeys(note.symbol for note in cell.notes))


def table_as_dict(table: Table) -> dict[str, Any]:
    """Plain data for JSON: unrounded values, no formatting."""
    return {
        "name": table.name,
        "title": table.title,
        "columns": [column.title for column in table.columns],
        "rows": [
            {
                "label": row.label,
                "block": row.block,
                "cited": row.cited,
                "cells": [_cell_as_dict(cell) for cell in row.cells],
            }
            for row in table.rows
        ],
        "lead": table.lead,
        "caption": list(table.caption),
        "marks": table.marks if table.has_marks else "",
        "untold": list(table.untold),
        "footnotes": [{"symbol": symbol, "text": text} for symbol, text in table.footnotes],
        "facts": table.facts,
    }


def _cell_as_dict(cell: Cell) -> dict[str, Any]:
    return {
        "value": cell.value,
        "spread": cell.spread,
        "n": cell.count,
        "expected": cell.expected,
        "text": cell.text,
        "mark": cell.mark,
        "indistinct": cell.is_indistinct,
        "cited": cell.cited,
        "notes": [note.meaning for note in cell.notes],
    }
