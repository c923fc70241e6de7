"""How much every row differs from one of them, seed by seed: mean difference, its interval, and a test if possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.frame_type import Frame
from ..analysis.groups import Group, Groups, heading, is_apart, split_groups, subject
from ..analysis.paired import MIN_TEST, Interval, share_no_training
from ..analysis.ranks import holm
from ..analysis.verdict import compare_groups
from ..api.errors import unknown
from .caption import missing_sentence, prunable_sentence, sentences
from .cell import APART, FAILED, failure_notes, place_of
from .table import Cell, Column, Note, Roles, Table, TableRow


def paired_table(frame: Frame, accuracy: str = "last", reference: str | None = None) -> Table:
    """Differences in points to `reference`, the first row of the study if none is named.

    Raises UserError for a reference that is no row of the study.
    """
    column, groups = accuracy_column(accuracy), split_groups(frame)
    if reference is not None and reference not in groups.labels:
        raise unknown("reference row", reference, groups.labels)
    base = reference or next(iter(groups.labels), "")
    found = {label: _compared(groups, label, base, column) for label in groups.labels if label != base}
    every = [each for row in found.values() for each in row]
    has_tests = any(each.p_value is not None for each in every)
    return Table(
        name="paired",
        title=f"Difference to {base} in points of test accuracy, {subject(frame)}",
        corner="Method",
        columns=tuple(column for target in groups.targets for column in _columns(target, has_tests)),
        rows=tuple(
            TableRow(label=label, cells=tuple(cell for each in row for cell in _cells(each, has_tests)))
            for label, row in found.items()
        ),
        caption=_caption(accuracy, every, frame),
        facts={"reference": base, "accuracy": accuracy, "stat": "ci"},
        roles=Roles(group="sparsity", heading="measure") if has_tests else Roles(measure="difference"),
    )


@dataclass(frozen=True)
class _Compared:
    """A row against the reference at one sparsity; `p_value` is corrected by Holm over the sparsities of the row.

    `is_by_seed`: the two have no dense training in common.
    """

    interval: Interval | None
    p_value: float | None
    is_apart: bool
    notes: tuple[Note, ...]
    is_by_seed: bool


def _compared(groups: Groups, label: str, base: str, column: str) -> list[_Compared]:
    """A comparison for each sparsity."""
    pairs = list(zip(groups.row(label), groups.row(base), strict=True))
    found = [compare_groups(*pair, column) for pair in pairs]
    adjusted = holm({index: each.p_value for index, each in enumerate(found) if each.p_value is not None})
    return [
        _Compared(each.interval, adjusted.get(index), is_apart(*pair), _failures(pair), _is_by_seed(*pair))
        for index, (pair, each) in enumerate(zip(pairs, found, strict=True))
    ]


def _failures(pair: tuple[Group | None, Group | None]) -> tuple[Note, ...]:
    """Failed runs of either row, which count in the difference."""
    groups = [group for group in pair if group is not None]
    return tuple(note for group in groups for note in failure_notes(place_of(group), group.rows, FAILED))


def _is_by_seed(first: Group | None, second: Group | None) -> bool:
    return first is not None and second is not None and share_no_training(first.counted, second.counted)


def _columns(target: float, has_tests: bool) -> list[Column]:
    if not has_tests:
        return [Column(heading=heading(target))]
    return [Column(heading=part, group=heading(target)) for part in ("difference", "p")]


def _cells(compared: _Compared, has_tests: bool) -> list[Cell]:
    shown = difference_cell(compared.interval, compared.is_apart, compared.notes)
    return [shown, p_value_cell(compared.p_value)] if has_tests else [shown]


def difference_cell(interval: Interval | None, is_apart: bool = False, notes: tuple[Note, ...] = ()) -> Cell:
    """A paired difference in points, from one of fractions, with its interval and the number of pairs.

    `is_apart`: the two rows reached other sparsities, which a note says.
    """
    if interval is None:
        return Cell(text="–")
    return Cell(
        value=100 * interval.mean,
        spread=None if interval.half_width is None else 100 * interval.half_width,
        count=interval.count,
        expected=interval.count,
        shows_count=True,
        signed=True,
        notes=(*notes, *([Note("†", APART)] if is_apart else [])),
    )


def p_value_cell(p_value: float | None) -> Cell:
    return Cell(text="–") if p_value is None else Cell(value=p_value, digits=4)


def _caption(accuracy: str, found: Sequence[_Compared], frame: Frame) -> tuple[str, ...]:
    most = max((each.interval.count for each in found if each.interval is not None), default=0)
    test, is_by_seed = "", any(each.is_by_seed for each in found)
    if most >= MIN_TEST:
        test = "p is that of an exact two-sided sign-flip test, corrected by Holm over the sparsities of each row."
    elif most:
        test = f"There are at most {most} pairs: below {MIN_TEST} no p-value is given, it could not reach 5 %."
    return sentences(
        f"By the {ACCURACIES[accuracy]}. "
        "Mean over pairs of runs with the same seed and the same dense training (their number is given with it), ± "
        "half the width of its 95 % Student-t interval.",
        "Rows without a common dense training are paired by the seed alone." if is_by_seed else "",
        test,
        prunable_sentence(frame),
        missing_sentence(frame),
    )
