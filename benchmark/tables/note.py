"""Footnotes of cells, and what those of one kind say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_NAMED = 6
"""Cells that a footnote lists one by one, and rows that it names where it lists them together."""
MAX_GROUPS = 12
"""Groups of cells that a footnote lists."""


@dataclass(frozen=True)
class Note:
    """A footnote: a symbol, its meaning, which is the same in all cells, and what it says of this cell.

    That is a row, the heading of a column if the row has several, and a fact, which continues the two: `: 1 of 3`.
    """

    symbol: str
    meaning: str
    row: str = ""
    heading: str = ""
    fact: str = ""

    @property
    def detail(self) -> str:
        return told([self.row], [self.heading] if self.heading else [], self.fact)


def told(rows: Sequence[str], headings: Sequence[str], fact: str) -> str:
    """`SNIP, GraSP and 3 more at 90 %, 95 % reached 89.89 %`; a fact after a colon is that of each cell."""
    named = ", ".join(rows[:MAX_NAMED])
    more = f" and {len(rows) - MAX_NAMED} more" if len(rows) > MAX_NAMED else ""
    where = f" at {', '.join(headings)}" if headings else ""
    each = " each" if fact.startswith(":") and len(rows) * max(len(headings), 1) > 1 else ""
    return f"{named}{more}{where}{fact}{each}"


def joined(notes: Sequence[Note]) -> str:
    """What different notes of one kind say of their cells: one by one if they are few, else those alike together."""
    notes = [note for note in notes if note.row]
    if len(notes) <= MAX_NAMED:
        return "; ".join(note.detail for note in notes)
    headings: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        headings.setdefault((note.row, note.fact), []).append(note.heading)
    rows: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (row, fact), found in headings.items():
        rows.setdefault((tuple(found), fact), []).append(row)
    groups = [told(names, [heading for heading in found if heading], fact) for (found, fact), names in rows.items()]
    left = sum(len(names) * len(found) for (found, _), names in list(rows.items())[MAX_GROUPS:])
    return "; ".join([*groups[:MAX_GROUPS], *[f"{left} more"] * (left > 0)])
