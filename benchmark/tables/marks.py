"""Which rows of a column are best, second best, and not distinguishable from the best."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ..analysis.frame_type import Frame
from ..analysis.paired import MIN_INTERVAL, differs, paired_differences, resolution
from .table import Cell, Mark

Key = TypeVar("Key", bound=Hashable)

MARGIN = 2.0
"""A row this many points of accuracy below the best is never indistinct, even if its runs are noisy.

Three seeds with the usual standard deviation of up to half a point give t-intervals of up to about two points.
"""

_RULE = (
    "Rows are compared with the best by the 95 % t-interval of their paired differences (same seed, same dense "
    "training), from the second down to the first that really differs or is more than {margin}. Dense rows take no "
    "part, nor do rows off their sparsity or with a collapsed or failed run."
)
RULE = _RULE.format(margin=f"{MARGIN:g} points below the best")
BITS_RULE = _RULE.format(margin=f"{MARGIN / 100:g} bits above the best")
"""Marks of bits per byte are those of their negatives, so that a bit is as much as a hundred points."""
PRINTED_RULE = "Best and second are by the printed numbers alone."


@dataclass(frozen=True)
class ColumnMarks:
    """The marks of a column by row; a row that is not in `marks` or `indistinct` has none.

    Attributes:
        indistinct: whether a row is not distinguishable from the best, for rows that could be compared with it.
        unjudged: rows with too few pairs to be compared, above the end of the comparison.
        is_led_by_barred: a barred row has the highest mean, so that nothing is marked.
    """

    marks: dict[str, Mark] = field(default_factory=dict)
    indistinct: dict[str, bool] = field(default_factory=dict)
    unjudged: tuple[str, ...] = ()
    is_led_by_barred: bool = False

    def on(self, row: str, cell: Cell) -> Cell:
        """The cell with the marks of its row."""
        return replace(cell, mark=self.marks.get(row, ""), is_indistinct=self.indistinct.get(row))


def marks_by_seed(rows: Mapping[str, Frame], column: str, barred: Collection[str] = (), digits: int = 2) -> ColumnMarks:
    """Marks of rows by an accuracy (a fraction, more is better) in `column` of their runs, in percent with `digits`.

    Best and second are the highest means as they are printed; equal ones share the mark. Rows are compared with the
    best from the highest mean down, and not below the first row that really differs. A row with fewer than
    MIN_INTERVAL pairs to the best is no evidence in either direction: it gets no sign and does not end the comparison.
    Barred rows are not compared. If one has the highest mean, nothing is marked, as another row would be wrong.
    """
    done = {row: known for row, group in rows.items() if len(known := group[group[column].notna()])}
    shown = {row: _printed(group[column], digits) for row, group in done.items()}
    compared = {row: value for row, value in shown.items() if row not in barred}
    best = max(compared.values(), default=0.0)
    if compared and max(shown.values()) > best:
        return ColumnMarks(is_led_by_barred=True)
    if len(set(compared.values())) < 2:
        # one row, or all equal
        return ColumnMarks()
    top = max((row for row in compared if compared[row] == best), key=lambda row: len(done[row]))
    lower = {row: value for row, value in compared.items() if value < best}
    pairs = {row: paired_differences(done[top], done[row], column) for row in lower}
    step = resolution(value for group in done.values() for value in group[column])
    indistinct, unjudged = _walk(lower, best, pairs, step)
    return ColumnMarks(marks_by_value(compared), indistinct, unjudged)


def _printed(accuracies: Frame, digits: int) -> float:
    """The mean in percent as tables print it, so that means that look equal are equal."""
    return round(100 * sum(float(value) for value in accuracies) / len(accuracies), digits)


def _walk(
    lower: Mapping[str, float], best: float, pairs: Mapping[str, list[float]], step: float
) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Whether each row is indistinct from the best, and the rows with too few pairs before the walk ended."""
    indistinct: dict[str, bool] = {}
    unjudged: list[str] = []
    has_ended = False
    for value in sorted(set(lower.values()), reverse=True):
        has_ended = has_ended or round(best - value, 9) > MARGIN
        level = [row for row in lower if lower[row] == value]
        judged = [row for row in level if len(pairs[row]) >= MIN_INTERVAL]
        indistinct |= {row: not has_ended and not differs(pairs[row], smallest_std=step / 2) for row in judged}
        unjudged += [row for row in level if row not in indistinct and not has_ended]
        has_ended = has_ended or not all(indistinct[row] for row in judged)
    return indistinct, tuple(unjudged)


def untold(columns: Mapping[str, ColumnMarks]) -> tuple[str, ...]:
    """Sentences on what could not be compared; `columns` are by heading, rows have the names of the marks."""
    led = [heading for heading, column in columns.items() if column.is_led_by_barred]
    marked = {heading: column for heading, column in columns.items() if column.marks}
    unknown = [heading for heading, column in marked.items() if not column.indistinct]
    rows = [row for heading, column in marked.items() if heading not in unknown for row in column.unjudged]
    few = f"fewer than {MIN_INTERVAL} pairs of runs"
    sentences = []
    if led:
        why = "the row of the highest mean has a collapsed or failed run"
        sentences.append(f"Nothing is marked at {', '.join(led)}: {why}.")
    if unknown:
        where = "" if len(unknown) == len(marked) else f" at {', '.join(unknown)}"
        sentences.append(f"What is not distinguishable from the best could not be told{where}: {few} with the best.")
    if rows:
        sentences.append(f"Not compared with the best, for {few}: {', '.join(rows)}.")
    return tuple(sentences)


def marks_by_value(values: Mapping[Key, float]) -> dict[Key, Mark]:
    """Best and second best of printed numbers; equal numbers share a mark. More is better.

    With two rows only the best is marked.
    """
    distinct = sorted(set(values.values()), reverse=True)
    names: tuple[Mark, ...] = ("best", "second") if len(values) > 2 else ("best",)
    ranks = dict(zip(distinct, names, strict=False))
    return {key: ranks[value] for key, value in values.items() if value in ranks}
