"""Which rows of a column are best and second best, told apart over seeds and never typed in."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

from .cells import Mark
from .report_types import Frame
from .statistics import MIN_INTERVAL, differs, paired_differences, resolution

Key = TypeVar("Key", bound=Hashable)

RULE = (
    f"Marked only where the difference is real: rows whose paired difference to the best (same seed, same dense "
    f"training) has a 95 % t-interval with zero in it share the mark, unless one of their runs collapsed; below "
    f"{MIN_INTERVAL} runs nothing is marked."
)
PRINTED_RULE = "By the printed means alone, equal numbers share the mark."


def marks_by_seed(rows: Mapping[str, Frame], column: str, barred: Collection[str] = ()) -> dict[str, Mark]:
    """Best and second best of the rows by a column where more is better.

    Rows that cannot be told from the best share its mark, and then nobody is second. A row that leads but cannot be
    judged, by too few runs or because it is barred, takes all marks away: naming another the best would be wrong.
    """
    done = {label: group[group[column].notna()] for label, group in rows.items()}
    means = {label: float(group[column].mean()) for label, group in done.items() if len(group)}
    judged = [label for label in means if len(done[label]) >= MIN_INTERVAL and label not in barred]
    best_judged = max((means[label] for label in judged), default=None)
    if len(judged) < 2 or best_judged is None or max(means.values()) > best_judged:
        return {}
    step = resolution(value for group in done.values() for value in group[column])
    leaders = _leaders({label: done[label] for label in judged}, means, column, step)
    marks: dict[str, Mark] = dict.fromkeys(leaders, "best")
    rest = {label: done[label] for label in judged if label not in leaders}
    if len(leaders) == 1 and len(rest) > 1:
        marks |= dict.fromkeys(_leaders(rest, means, column, step), "second")
    # all equal: nothing to point at
    return {} if len(leaders) == len(judged) else marks


def _leaders(rows: Mapping[str, Frame], means: Mapping[str, float], column: str, step: float) -> list[str]:
    """The row of the highest mean and those that cannot be told from it."""
    top = max(rows, key=lambda label: means[label])
    return [label for label in rows if label == top or not _is_worse(rows[label], rows[top], column, step)]


def _is_worse(row: Frame, top: Frame, column: str, step: float) -> bool:
    return differs(paired_differences(top, row, column), smallest_std=step / 2)


def marks_by_value(values: Mapping[Key, float]) -> dict[Key, Mark]:
    """Best and second best of printed numbers; equal numbers share a mark. More is better.

    Of two rows, only the best is marked: second is the other word for last.
    """
    distinct = sorted(set(values.values()), reverse=True)
    names: tuple[Mark, ...] = ("best", "second") if len(values) > 2 else ("best",)
    ranks = dict(zip(distinct, names, strict=False))
    return {key: ranks[value] for key, value in values.items() if value in ranks}
