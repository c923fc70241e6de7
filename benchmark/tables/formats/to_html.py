"""A table as an HTML fragment. Everything that comes from names or results is escaped."""

from __future__ import annotations

import html
from itertools import groupby

from ...analysis.plain_text import several_lines
from ..table import INDISTINCT, Cell, Column, Table, TableRow, symbols


def escape(text: str) -> str:
    """Text as a page shows it, without control characters."""
    return html.escape(several_lines(text))


def to_html(table: Table) -> str:
    """A `figure` element with table, sentences and footnotes; classes but no style and no script.

    The table is in a region of its own, which a narrow page can scroll sideways.
    """
    title = escape(table.title)
    parts = ['<figure class="table">', f'<div class="sideways" role="region" tabindex="0" aria-label="{title}">']
    parts += [f"<table><caption>{title}</caption>", *_head(table)]
    for block, rows in table.blocks:
        parts.append("<tbody>")
        if block:
            parts.append(
                f'<tr class="block"><th scope="rowgroup" colspan="{len(table.columns) + 1}">{escape(block)}</th></tr>'
            )
        parts += [_row(row) for row in rows]
        parts.append("</tbody>")
    parts += ["</table></div>", f"<figcaption>{_caption(table)}</figcaption>"]
    notes = [f"<li><sup>{escape(symbol)}</sup> {escape(text)}</li>" for symbol, text in table.footnotes]
    if notes:
        parts.append(f'<ul class="notes">{"".join(notes)}</ul>')
    return "\n".join([*parts, "</figure>"]) + "\n"


def _caption(table: Table) -> str:
    return " ".join(table.sentences(escape, best="<b>Bold</b>", second="<u>underlined</u>"))


def _head(table: Table) -> list[str]:
    lines = ["<thead>"]
    if any(column.group for column in table.columns):
        groups = [(group, len(list(members))) for group, members in groupby(table.columns, lambda c: c.group)]
        cells = "".join(f'<th scope="colgroup" colspan="{width}">{escape(group)}</th>' for group, width in groups)
        lines.append(f"<tr><td></td>{cells}</tr>")
    headings = "".join(_heading(column) for column in table.columns)
    return [*lines, f'<tr><th scope="col">{escape(table.corner)}</th>{headings}</tr>', "</thead>"]


def _heading(column: Column) -> str:
    return f'<th scope="col">{escape(column.heading)}</th>'


def _row(row: TableRow) -> str:
    classes = [name for name, is_set in (("cited", row.cited), ("reference", row.is_reference)) if is_set]
    opening = f'<tr class="{" ".join(classes)}">' if classes else "<tr>"
    label = escape(row.label) + (" <i>(cited)</i>" if row.cited else "")
    return f'{opening}<th scope="row">{label}</th>{"".join(_cell(cell) for cell in row.cells)}</tr>'


def _cell(cell: Cell) -> str:
    shown = escape(cell.number or cell.text)
    if cell.rounded_spread:
        shown += f' <span class="spread">± {cell.rounded_spread}</span>'
    if cell.mark:
        tag = {"best": "b", "second": "u"}[cell.mark]
        shown = f"<{tag}>{shown}</{tag}>"
    if cell.runs:
        shown += f' <span class="runs">({escape(cell.runs)})</span>'
    if cell.is_indistinct:
        shown += f' <span class="indistinct">{INDISTINCT}</span>'
    if cell.notes:
        shown += f"<sup>{escape(symbols(cell))}</sup>"
    value = "" if cell.value is None else f' data-value="{cell.value:.10g}"'
    return f"<td{value}>{shown}</td>"
