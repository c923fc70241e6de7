"""How much every row differs from one of them, seed by seed: mean difference, its interval, and a test if possible."""

from __future__ import annotations

from collections.abc import Sequence

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.frame_type import Frame
from ..analysis.groups import Groups, heading, split_groups, subject
from ..analysis.paired import MIN_TEST, Interval, PairedComparison
from ..analysis.verdict import compare_groups
from ..api.errors import unknown
from .caption import missing_sentence, prunable_sentence, sentences
from .table import Cell, Column, Roles, Table, TableRow


def paired_table(frame: Frame, accuracy: str = "last", reference: str | None = None) -> Table:
    """Differences in points to `reference`, the first row of the study if none is named.

    Raises UserError for a reference that is no row of the study.
    """
    column, groups = accuracy_column(accuracy), split_groups(frame)
    if reference is not None and reference not in groups.labels:
        raise unknown("reference row", reference, groups.labels)
    base = reference or next(iter(groups.labels), "")
    found = {label: _comparisons(groups, label, base, column) for label in groups.labels if label != base}
    every = [comparison for row in found.values() for comparison in row]
    has_tests = any(comparison.p_value is not None for comparison in every)
    return Table(
        name="paired",
        title=f"Difference to {base} in points of test accuracy, {subject(frame)}",
        corner="Method",
        columns=tuple(column for target in groups.targets for column in _columns(target, has_tests)),
        rows=tuple(
            TableRow(label=label, cells=tuple(cell for comparison in row for cell in _cells(comparison, has_tests)))
            for label, row in found.items()
        ),
        caption=_caption(accuracy, every, frame),
        facts={"reference": base, "accuracy": accuracy, "stat": "ci"},
        roles=Roles(group="sparsity", heading="measure") if has_tests else Roles(measure="difference"),
    )


def _comparisons(groups: Groups, label: str, base: str, column: str) -> list[PairedComparison]:
    """A comparison for each sparsity."""
    return [compare_groups(*pair, column) for pair in zip(groups.row(label), groups.row(base), strict=True)]


def _columns(target: float, has_tests: bool) -> list[Column]:
    if not has_tests:
        return [Column(heading=heading(target))]
    return [Column(heading=part, group=heading(target)) for part in ("difference", "p")]


def _cells(comparison: PairedComparison, has_tests: bool) -> list[Cell]:
    shown = difference_cell(comparison.interval)
    return [shown, p_value_cell(comparison.p_value)] if has_tests else [shown]


def difference_cell(interval: Interval | None) -> Cell:
    """A paired difference in points, from one of fractions, with its interval and the number of pairs."""
    if interval is None:
        return Cell(text="–")
    return Cell(
        value=100 * interval.mean,
        spread=None if interval.half_width is None else 100 * interval.half_width,
        count=interval.count,
        expected=interval.count,
        shows_count=True,
        signed=True,
    )


def p_value_cell(p_value: float | None) -> Cell:
    return Cell(text="–") if p_value is None else Cell(value=p_value, digits=4)


def _caption(accuracy: str, found: Sequence[PairedComparison], frame: Frame) -> tuple[str, ...]:
    most = max((len(comparison.differences) for comparison in found), default=0)
    test = ""
    if most >= MIN_TEST:
        test = "p is that of an exact two-sided sign-flip test, not corrected for the number of rows."
    elif most:
        test = f"There are at most {most} pairs: below {MIN_TEST} no p-value is given, it could not reach 5 %."
    return sentences(
        f"By the {ACCURACIES[accuracy]}. "
        "Mean over pairs of runs with the same seed and the same dense training (their number is given with it), ± "
        "half the width of its 95 % Student-t interval.",
        test,
        prunable_sentence(frame),
        missing_sentence(frame),
    )
