"""Whether the runs of two rows tell them apart: their paired differences, and what these allow to say.

These are the words of tables, the report, commands and docs, each for one thing:

* `not distinguishable`: the 95 % interval of three paired differences or more holds zero. It does not mean equal.
* `too few pairs`: there are fewer than three pairs of runs, so nothing is said.
* `undecided`: a claim neither holds nor fails, for one of these reasons, or because a row is not there.
"""

from __future__ import annotations

from typing import Literal

from .groups import Group
from .paired import MIN_INTERVAL, PairedComparison, compare, resolution, seed_differences

NOT_DISTINGUISHABLE, TOO_FEW_PAIRS, UNDECIDED = "not distinguishable", "too few pairs", "undecided"

Verdict = Literal["higher", "lower", "not distinguishable", "too few pairs"]
"""Of the first of two rows. `too few pairs`: fewer than MIN_INTERVAL, so that no interval decides."""

Outcome = Literal["holds", "fails", "undecided"]
"""Of a claim that one row is above another."""


def compare_groups(first: Group | None, second: Group | None, column: str) -> PairedComparison:
    """Differences first - second of an accuracy, as fractions; none where a row is not there."""
    if first is None or second is None:
        return PairedComparison((), None, None)
    step = resolution([*first.values(column), *second.values(column)])
    return compare(seed_differences(first.counted, second.counted, column), smallest_std=step / 2)


def verdict(comparison: PairedComparison) -> Verdict:
    """By the 95 % t-interval of the differences."""
    interval = comparison.interval
    if interval is None or interval.count < MIN_INTERVAL:
        return "too few pairs"
    if interval.contains(0.0):
        return "not distinguishable"
    return "higher" if interval.mean > 0 else "lower"
