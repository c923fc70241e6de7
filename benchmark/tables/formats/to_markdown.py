"""A table as Markdown: aligned for reading in a terminal, valid in a README."""

from __future__ import annotations

import re
from dataclasses import replace

from ...analysis.plain_text import one_line
from ..table import INDISTINCT, Cell, Table, TableRow, symbols


def to_markdown(table: Table) -> str:
    """Lead, title, table, caption and footnotes, ending with a line break."""
    heading = [table.corner, *(column.title for column in table.columns)]
    lines: list[list[str]] = []
    for block, rows in table.blocks:
        if block:
            lines.append([f"*{escape(block)}*", *([""] * len(table.columns))])
        lines += [_line(row) for row in rows]
    body = _aligned([escape(text) for text in heading], lines)
    notes = [f"{symbol} {escape(text)}" for symbol, text in table.footnotes]
    parts = ["\n".join(lines) for lines in (body, _caption(table), _breaks(notes)) if lines]
    lead = [escape(table.lead)] if table.lead else []
    return "\n\n".join([*lead, f"**{escape(table.title)}**", *parts]) + "\n"


def _caption(table: Table) -> list[str]:
    sentences = replace(table, lead="").sentences(escape, best="**Bold**", second="*italic*")
    return [" ".join(sentences)] if sentences else []


def _breaks(notes: list[str]) -> list[str]:
    """Markdown joins lines into a paragraph; a trailing backslash keeps them apart."""
    return [*(f"{note}\\" for note in notes[:-1]), *notes[-1:]]


def _line(row: TableRow) -> list[str]:
    label = escape(row.label)
    return [f"{label} (cited)" if row.cited else label, *(_cell(cell) for cell in row.cells)]


def _cell(cell: Cell) -> str:
    shown = cell.number or escape(cell.text)
    if cell.rounded_spread:
        shown += f" ± {cell.rounded_spread}"
    if cell.mark:
        around = {"best": "**", "second": "*"}[cell.mark]
        shown = f"{around}{shown}{around}"
    if cell.runs:
        shown += f" ({cell.runs})"
    if cell.is_indistinct:
        shown += f" {INDISTINCT}"
    marks = symbols(cell)
    return f"{shown} {marks}" if marks else shown


def _aligned(heading: list[str], lines: list[list[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in [heading, *lines]) for i in range(len(heading))]
    rule = [":" + "-" * max(1, widths[0] - 1), *("-" * max(1, width - 1) + ":" for width in widths[1:])]
    return [_joined(heading, widths), f"| {' | '.join(rule)} |", *(_joined(line, widths) for line in lines)]


def _joined(line: list[str], widths: list[int]) -> str:
    first, *rest = line
    cells = [first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(rest, widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Text on one line that Markdown shows as it is: no markup, no HTML, no further column."""
    flat = " ".join(one_line(text).split())
    flat = flat.replace("&", "&amp;") if re.search(r"&#?\w+;", flat) else flat
    flat = re.sub(r"([\\`*|\[\]~$])", r"\\\1", flat)
    # an underscore inside a word is plain text in Markdown, and names with a backslash are hard to read
    flat = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", flat)
    # only these begin a tag or a quotation; the relations of claims stay legible in a terminal
    return re.sub(r"^>", "&gt;", re.sub(r"<(?=[A-Za-z/!?])", "&lt;", flat))
