"""How much every row differs from one of them, seed by seed: mean difference, its interval, and a test if possible."""

from __future__ import annotations

from collections.abc import Sequence

from ..analysis.frame_type import Frame
from ..analysis.paired import MIN_TEST, PairedComparison, compare, paired_differences, resolution
from ..api.errors import unknown
from .caption import ACCURACIES, accuracy_column, missing_sentence, prunable_sentence, subject
from .cell import Group, heading, labels, split_groups, targets
from .table import Cell, Column, Table, TableRow


def paired_table(frame: Frame, accuracy: str = "last", reference: str | None = None) -> Table:
    """Differences in points to `reference`, the first row of the study if none is named.

    Raises UserError for a reference that is no row of the study.
    """
    column = accuracy_column(accuracy)
    names, sparsities = labels(frame), targets(frame)
    if reference is not None and reference not in names:
        raise unknown("reference row", reference, names)
    base = reference or (names[0] if names else "")
    groups = split_groups(frame)
    found = {
        (label, target): _compare(groups.get((label, target)), groups.get((base, target)), column)
        for label in names
        for target in sparsities
        if label != base
    }
    has_tests = any(comparison.p_value is not None for comparison in found.values())
    columns = [
        Column(heading=part, group=heading(target) if has_tests else "")
        if has_tests
        else Column(heading=heading(target))
        for target in sparsities
        for part in (("difference", "p") if has_tests else ("difference",))
    ]
    rows = [
        TableRow(
            label=label,
            cells=tuple(cell for target in sparsities for cell in _cells(found[label, target], has_tests)),
        )
        for label in names
        if label != base
    ]
    return Table(
        name="paired",
        title=f"Difference to {base} in points of test accuracy, {subject(frame)}",
        corner="Method",
        columns=tuple(columns),
        rows=tuple(rows),
        caption=tuple(_caption(accuracy, list(found.values()), frame)),
        facts={"reference": base, "accuracy": accuracy},
    )


def _compare(group: Group | None, base: Group | None, column: str) -> PairedComparison:
    if group is None or base is None:
        return PairedComparison((), None, None)
    step = resolution([*group.done[column].dropna(), *base.done[column].dropna()])
    return compare(paired_differences(group.done, base.done, column), smallest_std=step / 2)


def _cells(comparison: PairedComparison, has_tests: bool) -> list[Cell]:
    interval = comparison.interval
    if interval is None:
        shown = Cell(text="–")
    else:
        shown = Cell(
            value=100 * interval.mean,
            spread=None if interval.half_width is None else 100 * interval.half_width,
            count=interval.count,
            expected=interval.count,
            shows_count=True,
            signed=True,
        )
    if not has_tests:
        return [shown]
    p_value = comparison.p_value
    return [shown, Cell(text="–") if p_value is None else Cell(value=p_value, digits=4)]


def _caption(accuracy: str, found: Sequence[PairedComparison], frame: Frame) -> list[str]:
    pairs = [len(comparison.differences) for comparison in found if comparison.differences]
    most = max(pairs, default=0)
    sentences = [
        f"By the {ACCURACIES[accuracy]}. "  # pyright: ignore[reportArgumentType]
        "Mean over pairs of runs with the same seed and the same dense training (number of pairs in brackets), ± half "
        "the width of its 95 % Student-t interval."
    ]
    if most >= MIN_TEST:
        sentences.append("p is that of an exact two-sided sign-flip test, not corrected for the number of rows.")
    elif most:
        sentences.append(
            f"There are at most {most} pairs: below {MIN_TEST} no p-value is given, it could not reach 5 %."
        )
    missing = missing_sentence(frame)
    return [*sentences, prunable_sentence(frame), *([missing] if missing else [])]
