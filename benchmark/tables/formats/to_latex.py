"""A table as LaTeX with booktabs: no wider and no higher than a page, with a short caption and notes below."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from ..table import Table, TableRow
from .latex_columns import LatexColumn, columns_of, common_runs
from .latex_fit import (
    HEAD_LINES,
    TEXT_HEIGHT,
    WIDEST_LABEL,
    TypeSize,
    fitting,
    num_lines,
    rows_of_page,
    split_rows,
)
from .latex_text import escape, width_of

NEEDS = r"% needs \usepackage{booktabs,textcomp}"
NOTE_LINE = 9.5
NOTE_WIDTH = 0.96 * 345 / 0.855
"""Points from line to line of notes, and of their text at 10 pt in a line."""


def to_latex(table: Table, caption: str | None = None, label: str | None = None) -> str:
    """A `table` environment, or several if the table is longer than a page.

    Args:
        caption: LaTeX source instead of the title.
        label: instead of `tab:STUDY-KIND`.
    """
    columns = columns_of(table)
    label_width = max((width_of(_name(row)) for row in table.rows), default=0.0)
    size, parts = fitting(label_width, columns)
    notes = _notes(table)
    height = _notes_height(notes)

    def pages(rows_a_tabular: int) -> list[list[list[str]]]:
        tabulars = [
            (num_lines(blocks), _tabular(table, blocks, {i: columns[i] for i in part}, label_width))
            for blocks in split_rows(table, rows_a_tabular)
            for part in parts
        ]
        return _pages(tabulars, size, height)

    most = rows_of_page(size, height)
    # All columns of some rows on one page, if that takes no more pages than all rows of some columns.
    best = min((pages(limit) for limit in (max(1, most // len(parts)), most)), key=len)
    key, name = label or _label(table), escape(table.title) if caption is None else caption
    return "\n".join([NEEDS, *(line for page in _floats(best, size, notes, name, key) for line in page)]) + "\n"


def _label(table: Table) -> str:
    """`tab:STUDY-KIND`, with what else tells it from other tables of the study."""
    usual = (
        {"accuracy": "last", "reference": None} if "reference" in table.facts else {"accuracy": "last", "stat": "std"}
    )
    told = [table.study, table.name]
    told += [str(table.facts[key]) for key, value in usual.items() if table.facts.get(key, value) != value]
    return "tab:" + "-".join(part for each in told if (part := re.sub(r"[^A-Za-z0-9]+", "-", each).strip("-")))


def _pages(tabulars: Sequence[tuple[int, list[str]]], size: TypeSize, notes: float) -> list[list[list[str]]]:
    """Tabulars by page; the notes are on the last one."""
    pages: list[list[list[str]]] = []
    left = 0.0
    for index, (num_rows, lines) in enumerate(tabulars):
        height = (num_rows + HEAD_LINES) * size.line
        needed = height + (notes if index == len(tabulars) - 1 else 0.0)
        if not pages or needed > left:
            pages.append([])
            left = TEXT_HEIGHT
        pages[-1].append(lines)
        left -= height
    return pages


def _floats(
    pages: Sequence[list[list[str]]], size: TypeSize, notes: Sequence[str], caption: str, label: str
) -> Iterator[list[str]]:
    for number, tabulars in enumerate(pages, 1):
        is_last = number == len(pages)
        counted = f" ({number} of {len(pages)}" if len(pages) > 1 else ""
        counted += ")" if is_last and counted else rf"; notes: Table~\ref{{{label}}})" if counted else ""
        yield [
            r"\begin{table}[tbp]",
            r"  \centering",
            rf"  \caption{{{caption}{counted}}}\smallskip",
            # The last one has the notes.
            rf"  \label{{{label if is_last else f'{label}-{number}'}}}",
            rf"  \{size.command}\setlength{{\tabcolsep}}{{{size.gap:g}pt}}",
            *(line for index, lines in enumerate(tabulars) for line in ([r"  \par\medskip"] if index else []) + lines),
            *(notes if is_last else []),
            r"\end{table}",
        ]


def _tabular(
    table: Table,
    blocks: Sequence[tuple[str, list[TableRow]]],
    columns: Mapping[int, LatexColumn],
    label_width: float,
) -> list[str]:
    place = {id(row): index for index, row in enumerate(row for _, rows in table.blocks for row in rows)}
    first = f"p{{{WIDEST_LABEL:g}pt}}" if label_width > WIDEST_LABEL else "l"
    layout = "".join(column.layout for column in columns.values())
    lines = [rf"  \begin{{tabular}}{{@{{}}{first}{layout}@{{}}}}", r"    \toprule"]
    lines += [f"    {line}" for line in _heading(table.corner, list(columns.values()))]
    for name, rows in blocks:
        lines.append(r"    \midrule")
        if name:
            span = 1 + sum(column.span for column in columns.values())
            lines.append(rf"    \multicolumn{{{span}}}{{@{{}}l}}{{\emph{{{escape(name)}}}}} \\")
        for row in rows:
            cells = [_cell(column, place[id(row)]) for column in columns.values()]
            lines.append("    " + " & ".join([_label_cell(row, label_width), *cells]) + r" \\")
    return [*lines, r"    \bottomrule", r"  \end{tabular}"]


def _heading(corner: str, columns: Sequence[LatexColumn]) -> list[str]:
    lines = []
    if any(column.column.group for column in columns):
        cells, rules, at = [""], [], 2
        for group, members in groupby(columns, lambda column: column.column.group):
            span = sum(column.span for column in members)
            cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(group)}}}")
            rules += [rf"\cmidrule(lr){{{at}-{at + span - 1}}}"] if group else []
            at += span
        lines += [" & ".join(cells) + r" \\", " ".join(rules)]
    cells = []
    for column in columns:
        shown = r"\\".join(map(escape, column.heading))
        stacked = rf"\begin{{tabular}}[b]{{@{{}}c@{{}}}}{shown}\end{{tabular}}" if len(column.heading) > 1 else shown
        cells.append(rf"\multicolumn{{{column.span}}}{{c}}{{{stacked}}}")
    return [*lines, " & ".join([escape(corner), *cells]) + r" \\"]


def _cell(column: LatexColumn, index: int) -> str:
    piece = column.pieces[index]
    if piece.number:
        return f"{piece.number} & {piece.behind}".rstrip() if column.span == 2 else piece.number
    if not piece.text:
        return "&" if column.span == 2 else ""
    return rf"\multicolumn{{{column.span}}}{{c}}{{{piece.text}}}"


def _name(row: TableRow) -> str:
    return f"{row.label} (cited)" if row.cited else row.label


def _label_cell(row: TableRow, label_width: float) -> str:
    shown = escape(row.label) + (r" \emph{(cited)}" if row.cited else "")
    return rf"\raggedright {shown}" if label_width > WIDEST_LABEL else shown


def _notes(table: Table) -> list[str]:
    """What other formats say in the caption, and the footnotes, as lines below the table."""
    sentences = table.sentences(escape, best=r"\textbf{Bold}", second=r"\underline{underlined}")
    if (runs := common_runs(table)) is not None:
        sentences.append(rf"All of these numbers have $n = {runs}$.")
    paragraphs = [" ".join(sentences)] if sentences else []
    paragraphs += [rf"\textsuperscript{{{escape(symbol)}}} {escape(text)}" for symbol, text in table.footnotes]
    if not paragraphs:
        return []
    return [
        r"  \par\smallskip",
        r"  \begin{minipage}{\linewidth}\footnotesize",
        *(
            f"    {paragraph}" + (r"\par" if index < len(paragraphs) - 1 else "")
            for index, paragraph in enumerate(paragraphs)
        ),
        r"  \end{minipage}",
    ]


def _notes_height(notes: Sequence[str]) -> float:
    return sum(1 + width_of(line) // NOTE_WIDTH for line in notes) * NOTE_LINE
