"""A table as CSV: what the other formats show, unrounded, each number in a column of its own."""

from __future__ import annotations

import csv
import io

from ...analysis.csv_text import harmless
from ...analysis.plain_text import one_line
from ..table import Cell, Table, symbols

PARTS = ("spread", "n", "expected", "mark", "indistinct", "notes")
"""What may be beside a number, each in a column of its own."""


def to_csv(table: Table) -> str:
    """A heading line, and a line for each row.

    A column `90 %` is followed by `90 % spread`, `90 % n`, `90 % expected`, `90 % mark`, `90 % indistinct` and
    `90 % notes`, those that any of its cells needs. `mark` is best or second. `indistinct` is yes if the row is not
    distinguishable from the best, no if it is, and empty if they were not compared.
    """
    has_blocks = any(row.block for row in table.rows)
    parts = [_parts([row.cells[i] for row in table.rows]) for i in range(len(table.columns))]
    heading = (["block"] if has_blocks else []) + [table.corner]
    for column, used in zip(table.columns, parts, strict=True):
        heading += [column.title, *(f"{column.title} {part}" for part in used)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_harmless(text) for text in heading])
    for row in table.rows:
        line = ([_harmless(row.block)] if has_blocks else []) + [_harmless(_label(row.label, row.cited))]
        for cell, used in zip(row.cells, parts, strict=True):
            values = _values(cell)
            line += [values["value"], *(values[part] for part in used)]
        writer.writerow(line)
    return buffer.getvalue()


def _label(label: str, cited: bool) -> str:
    return f"{label} (cited)" if cited else label


def _parts(cells: list[Cell]) -> list[str]:
    values = [_values(cell) for cell in cells]
    return [part for part in PARTS if any(value[part] for value in values)]


def _values(cell: Cell) -> dict[str, str]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.10g}"

    return {
        "value": number(cell.value) or _harmless(cell.text),
        "spread": number(cell.spread),
        "n": number(cell.count),
        "expected": number(cell.expected),
        "mark": cell.mark,
        "indistinct": "" if cell.is_indistinct is None else "yes" if cell.is_indistinct else "no",
        "notes": symbols(cell),
    }


def _harmless(text: str) -> str:
    """One line that no spreadsheet runs as a formula."""
    return harmless(one_line(text))
