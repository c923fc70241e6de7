"""Tables as CSV: a line for each number, in columns that pandas and spreadsheets read as they are."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from ...analysis.csv_text import harmless
from ...analysis.plain_text import one_line
from ..table import Cell, Column, Table, TableRow

NAMES = ("setting", "row", "layer", "method", "sparsity", "measure")
"""Columns of what a number is of, in this order; a table has those that its roles name, and `measure`."""

NUMBERS = ("n", "expected", "mark", "indistinct", "state", "notes")
MORE_DECIMALS = 2
"""Decimals beyond those that the other formats show: accuracies in percent have four."""


def to_csv(tables: Sequence[Table]) -> str:
    """A heading line, and a line for each number of tables of one kind.

    Columns: `study`; `method`, `sparsity` in percent and others that the kind has; `measure`, what the number is, in
    small letters but for a unit in brackets; `mean`; `sd` or `ci`, its standard deviation or half the width of its 95 %
    interval; `n` and `expected`, stored and planned runs; `mark`, best or second; `indistinct`, yes if the row is not
    distinguishable from the best, no if it is, empty if they were not compared; `state`, in place of a number where
    there is none; `notes` in words. Dense training has sparsity 0.
    """
    names = [name for name in NAMES if name == "measure" or any(name in _used(table) for table in tables)]
    spread = "ci" if tables[0].facts.get("stat") == "ci" else "sd"
    heading = ["study", *names, "mean", spread, *NUMBERS]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, heading, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for line in _lines(table, spread):
            writer.writerow(line)
    return buffer.getvalue()


def _used(table: Table) -> set[str]:
    roles = table.roles
    return {roles.row, roles.block, roles.group, roles.heading}


def _lines(table: Table, spread: str) -> Iterator[dict[str, str]]:
    for row in table.rows:
        said: set[str] = set()
        for column, cell in zip(table.columns, row.cells, strict=True):
            names = _names(table, row, column)
            is_empty = cell.value is None and cell.text in ("", "–")
            # A dense row says the same at each sparsity.
            if is_empty or (row.is_reference and names["measure"] in said):
                continue
            said.add(names["measure"])
            words = {"study": table.study, **names, "state": cell.text if cell.value is None else ""}
            # No spreadsheet runs a word as a formula.
            yield {name: harmless(one_line(word)) for name, word in words.items()} | _numbers(cell, spread)


def _names(table: Table, row: TableRow, column: Column) -> dict[str, str]:
    """What a number is of, by the roles of the table."""
    roles = table.roles
    heading = column.heading if roles.group else column.title
    told = {roles.row: row.label, roles.block: row.block, roles.group: column.group, roles.heading: heading}
    if column.measure:
        told = {roles.row: row.label, roles.block: row.block, "measure": column.measure}
    told["measure"] = _in_small_letters(told.get("measure", roles.measure))
    if "sparsity" in told:
        percent = re.fullmatch(r"([\d.]+) %", told["sparsity"])
        told["sparsity"] = "0" if row.is_reference else percent[1] if percent else ""
    told.pop("", None)
    return told


def _in_small_letters(measure: str) -> str:
    """Other formats have `MACs left` and `p` as headings; units in brackets stay, because `(M)` is not `(m)`."""
    words, bracket, unit = measure.partition("(")
    return words.lower() + bracket + unit


def _numbers(cell: Cell, spread: str) -> dict[str, str]:
    return {
        "mean": _rounded(cell.value, cell.digits),
        spread: _rounded(cell.spread, cell.digits),
        "n": "" if cell.count is None else str(cell.count),
        "expected": "" if cell.expected is None else str(cell.expected),
        "mark": cell.mark,
        "indistinct": "" if cell.is_indistinct is None else "yes" if cell.is_indistinct else "no",
        "notes": "; ".join(dict.fromkeys(note.meaning for note in cell.notes)),
    }


def _rounded(value: float | None, digits: int) -> str:
    """With MORE_DECIMALS more than the other formats, without zeros at the end."""
    if value is None:
        return ""
    shown = f"{value:.{digits + MORE_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown
