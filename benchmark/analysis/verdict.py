"""Whether the runs of two rows tell them apart: their paired differences, and what these allow to say."""

from __future__ import annotations

from typing import Literal

from .groups import Group
from .paired import MIN_INTERVAL, PairedComparison, compare, paired_differences, resolution

Verdict = Literal["higher", "lower", "not distinguishable", "too few pairs"]
"""Of the first of two rows. `too few pairs`: fewer than MIN_INTERVAL, so that no interval decides."""


def compare_groups(first: Group | None, second: Group | None, column: str) -> PairedComparison:
    """Differences first - second of an accuracy, as fractions; none where a row is not there."""
    if first is None or second is None:
        return PairedComparison((), None, None)
    step = resolution([*first.values(column), *second.values(column)])
    return compare(paired_differences(first.counted, second.counted, column), smallest_std=step / 2)


def verdict(comparison: PairedComparison) -> Verdict:
    """By the 95 % t-interval of the differences."""
    interval = comparison.interval
    if interval is None or interval.count < MIN_INTERVAL:
        return "too few pairs"
    if interval.contains(0.0):
        return "not distinguishable"
    return "higher" if interval.mean > 0 else "lower"
