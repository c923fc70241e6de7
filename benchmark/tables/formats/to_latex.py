"""A table as LaTeX with booktabs and siunitx: numbers align at the decimal point, best bold, second underlined."""

from __future__ import annotations

import re
from itertools import groupby

from ...analysis.plain_text import one_line
from ..table import INDISTINCT, Cell, Table, TableRow, symbols

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≈": r"$\approx$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "‖": r"$\|$",
    "◦": r"$\circ$",
    "⋄": r"$\diamond$",
    "△": r"$\bigtriangleup$",
    "⋆": r"$\star$",
    "⊖": r"$\ominus$",
    "⊕": r"$\oplus$",
    "⊘": r"$\oslash$",
    "¹": "1",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
}


def escape(text: str) -> str:
    """Text on one line that LaTeX prints as it is: no command, no alignment, no mathematics."""
    flat = " ".join(one_line(text).split())
    # `--` and `?`` are ligatures; an empty group keeps the characters apart
    joined = "".join(_SPECIAL.get(character, character) for character in flat.replace("--", "-\0-"))
    return joined.replace("\0", "{}")


def to_latex(table: Table) -> str:
    """A `table` environment. Each column is two columns in LaTeX: an S column, and one for spread and notes."""
    shapes = [_Shape.of([row.cells[i] for row in table.rows]) for i in range(len(table.columns))]
    layout = "l" + "".join(shape.layout for shape in shapes)
    lines = [
        r"% needs \usepackage{booktabs,siunitx,textcomp}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_caption(table)}}}",
        rf"  \label{{tab:{re.sub(r'[^A-Za-z0-9-]+', '-', table.name)}}}",
        rf"  \begin{{tabular}}{{{layout}}}",
        r"    \toprule",
        *(f"    {line}" for line in _heading(table)),
    ]
    for block, rows in table.blocks:
        lines.append(r"    \midrule")
        if block:
            lines.append(rf"    \multicolumn{{{2 * len(shapes) + 1}}}{{l}}{{\emph{{{escape(block)}}}}} \\")
        lines += [f"    {_row(row, shapes)}" for row in rows]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    for symbol, text in table.footnotes:
        lines.append(rf"  \par\footnotesize \textsuperscript{{{escape(symbol)}}} {escape(text)}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


class _Shape:
    """How wide the numbers of a column are: digits before the point, decimals, and whether any has a sign."""

    def __init__(self, integer: int, decimals: int, is_signed: bool) -> None:
        self.integer, self.decimals, self.is_signed = integer, decimals, is_signed

    @classmethod
    def of(cls, cells: list[Cell]) -> _Shape:
        numbers = [cell.number for cell in cells if cell.number]
        integers = [len(number.lstrip("+-").partition(".")[0]) for number in numbers]
        decimals = [len(number.partition(".")[2]) for number in numbers]
        return cls(max(integers, default=1), max(decimals, default=0), any(n[0] in "+-" for n in numbers))

    @property
    def layout(self) -> str:
        sign = "+" if self.is_signed else ""
        number = f"{self.integer}.{self.decimals}" if self.decimals else f"{self.integer}.0"
        return f"S[table-format={sign}{number}]@{{}}l"

    def padded(self, number: str) -> str:
        """With invisible digits in front: siunitx centres a number in braces, and so it aligns with the others."""
        digits = self.integer - len(number.lstrip("+-").partition(".")[0])
        sign = r"\phantom{+}" if self.is_signed and number[0] not in "+-" else ""
        return sign + (rf"\phantom{{{'0' * digits}}}" if digits else "")


def _caption(table: Table) -> str:
    sentences = table.sentences(escape, best=r"\textbf{Bold}", second=r"\underline{underlined}")
    return " ".join([f"{escape(table.title)}.", *sentences])


def _heading(table: Table) -> list[str]:
    lines = []
    if any(column.group for column in table.columns):
        groups = [(group, len(list(members))) for group, members in groupby(table.columns, lambda c: c.group)]
        cells = [rf"\multicolumn{{{2 * width}}}{{c}}{{{escape(group)}}}" for group, width in groups]
        lines.append(" & ".join(["", *cells]) + r" \\")
    cells = [rf"\multicolumn{{2}}{{c}}{{{escape(column.heading)}}}" for column in table.columns]
    return [*lines, " & ".join([escape(table.corner), *cells]) + r" \\"]


def _row(row: TableRow, shapes: list[_Shape]) -> str:
    label = escape(row.label) + (r" \emph{(cited)}" if row.cited else "")
    return " & ".join([label, *(_cell(cell, shape) for cell, shape in zip(row.cells, shapes, strict=True))]) + r" \\"


def _cell(cell: Cell, shape: _Shape) -> str:
    behind = ""
    if cell.rounded_spread:
        behind += rf"\,$\pm$\,{cell.rounded_spread}"
    if cell.mark == "best" and behind:
        behind = rf"\textbf{{{behind}}}"
    if cell.runs:
        behind += f" ({cell.runs})"
    if cell.is_indistinct:
        behind += rf"\,{escape(INDISTINCT)}"
    if cell.notes:
        behind += rf"\textsuperscript{{{escape(symbols(cell))}}}"
    if not cell.number:
        return rf"\multicolumn{{2}}{{c}}{{{escape(cell.text)}{behind}}}"
    if cell.mark:
        command = {"best": "textbf", "second": "underline"}[cell.mark]
        return rf"{{{shape.padded(cell.number)}\{command}{{{cell.number}}}}} & {behind}"
    return f"{cell.number} & {behind}"
