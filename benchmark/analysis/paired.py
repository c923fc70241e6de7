"""Statistics for 3 to 10 seeds: Student-t intervals, differences paired by seed, exact sign-flip tests.

At three seeds a bootstrap interval of nominal 95 % covers about 70 %; Student's t covers what it says when the values
are normal. Below six pairs no exact two-sided test can reach 5 %, so no p-value is given.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from .frame_type import Frame

LEVEL = 0.95
"""Coverage of all intervals."""

MIN_INTERVAL = 3
"""Fewest pairs whose t-interval decides whether two rows differ: for two pairs t is 12.7, too wide to decide."""

MIN_TEST = 6
"""Fewest pairs for a p-value: the smallest two-sided one of n pairs is 2 / 2**n, 0.0625 at five."""

MAX_EXACT = 16
"""Most pairs for which all 2**n sign flips are counted."""


@dataclass(frozen=True)
class Interval:
    """A mean with half the width of its Student-t interval, None for a single value."""

    mean: float
    half_width: float | None
    count: int

    def contains(self, value: float) -> bool:
        """Whether the value is within the interval; always for a single value, which has none."""
        return self.half_width is None or abs(self.mean - value) <= self.half_width


def sample_std(values: Sequence[float]) -> float | None:
    """Standard deviation with n - 1 in the denominator; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def t_interval(values: Sequence[float], smallest_std: float = 0.0) -> Interval:
    """Mean and Student-t interval of independent values.

    `smallest_std` is a lower bound of the standard deviation, for rounded values: three equal differences of one test
    image each prove nothing. Raises ValueError for no values at all.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    count = len(values)
    mean = math.fsum(values) / count
    std = sample_std(values)
    if std is None:
        return Interval(mean, None, count)
    from scipy.special import stdtrit

    quantile = float(stdtrit(count - 1, 0.5 + LEVEL / 2))
    return Interval(mean, quantile * max(std, smallest_std) / math.sqrt(count), count)


COARSEST_STEP = 0.005
"""Test sets are assumed to have at least 200 samples."""


def resolution(accuracies: Iterable[float]) -> float:
    """The smallest step between different accuracies: one test sample if there are enough of them."""
    distinct = sorted({round(value, 9) for value in accuracies})
    return min([COARSEST_STEP, *(b - a for a, b in itertools.pairwise(distinct))])


def paired_differences(first: Frame, second: Frame, column: str) -> list[float]:
    """first - second for every seed that both have, in order of the seed.

    Pairs that start from different dense trainings are left out. A run that starts from initialisation has no dense
    training; it is paired by the seed, which fixes the initialisation. Several runs of a seed are averaged first.
    """
    left, right = _by_seed(first, column), _by_seed(second, column)
    differences = []
    for seed in sorted(left.keys() & right.keys()):
        value, parents = left[seed]
        other, other_parents = right[seed]
        if not parents or not other_parents or parents == other_parents:
            differences.append(value - other)
    return differences


def seed_differences(first: Frame, second: Frame, column: str) -> list[float]:
    """Like `paired_differences`; two rows that never share a dense training are paired by the seed alone.

    Two values of a knob of dense training are such rows. The seed fixes their initialisation and the order of the data.
    """
    if share_no_training(first, second):
        return paired_differences(first.assign(parent=None), second.assign(parent=None), column)
    return paired_differences(first, second, column)


def share_no_training(first: Frame, second: Frame) -> bool:
    """Whether both rows start from dense trainings, and from no common one."""
    one, other = (set(rows["parent"].dropna()) for rows in (first, second))
    return bool(one) and bool(other) and not one & other


def _by_seed(rows: Frame, column: str) -> dict[int, tuple[float, frozenset[str]]]:
    """Mean and dense trainings by seed. Plain Python, as pandas takes milliseconds for a few rows."""
    values: dict[int, list[float]] = {}
    parents: dict[int, set[str]] = {}
    for seed, value, parent in zip(rows["seed"], rows[column], rows["parent"], strict=True):
        if value is not None and not math.isnan(value):
            values.setdefault(int(seed), []).append(float(value))
            parents.setdefault(int(seed), set()).update([parent] if isinstance(parent, str) else [])
    return {seed: (math.fsum(known) / len(known), frozenset(parents[seed])) for seed, known in values.items()}


def differs(differences: Sequence[float], smallest_std: float = 0.0) -> bool:
    """Whether the t-interval of paired differences excludes zero; never below MIN_INTERVAL pairs."""
    if len(differences) < MIN_INTERVAL:
        return False
    return not t_interval(differences, smallest_std=smallest_std).contains(0.0)


@dataclass(frozen=True)
class PairedComparison:
    """Differences of two rows over the seeds they share. `p_value` is None below MIN_TEST pairs."""

    differences: tuple[float, ...]
    interval: Interval | None
    p_value: float | None


def compare(differences: Sequence[float], smallest_std: float = 0.0) -> PairedComparison:
    """Interval and test of paired differences."""
    if not differences:
        return PairedComparison((), None, None)
    p_value = sign_flip_p(differences) if len(differences) >= MIN_TEST else None
    return PairedComparison(tuple(differences), t_interval(differences, smallest_std=smallest_std), p_value)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of a mean difference of zero: the share of sign flips with a mean at least as far from zero.

    Exact, over all 2**n flips; beyond MAX_EXACT pairs over 2**MAX_EXACT random ones, always the same.
    """
    import numpy as np

    values = np.asarray(differences, dtype=float)
    observed = abs(values.sum())
    # floating-point sums depend on the order of the numbers
    return float(np.mean(np.abs(_flips(len(values)) @ values) >= observed - 1e-9 * np.abs(values).sum()))


@cache
def _flips(count: int) -> Any:
    """All rows of +1 and -1 of a length, or random ones and the row of +1, so that p is never 0."""
    import numpy as np

    if count <= MAX_EXACT:
        return 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    drawn = np.random.default_rng(0).integers(0, 2, size=(2**MAX_EXACT - 1, count))
    return np.vstack([np.ones((1, count)), 1.0 - 2.0 * drawn])
