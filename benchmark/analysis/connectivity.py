"""How well two trained networks are connected: numbers from the errors along the straight line between their weights.

Definitions: Zhou et al., *A Three-regime Model of Network Pruning* (arXiv:2305.18383) and the code of its authors, who
follow Yang et al. (arXiv:2107.11228); the barriers are those of Frankle et al. (arXiv:1912.05671).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

TIE = 1e-12
"""Deviations closer than this are equal, so that rounding does not choose between a barrier and its opposite."""

Regime = Literal["I", "II-A", "II-B", "failed"]


@dataclass(frozen=True)
class Thresholds:
    """Where one regime ends. Chosen for PreResNet-20 on CIFAR-10 from a published figure; they are not the paper's.

    `tau` is a fraction of training samples, `cka` is in [0, 1], `failed` a share of the error of guessing.
    """

    tau: float = 0.15
    cka: float = 0.99
    failed: float = 0.7


@dataclass(frozen=True)
class Connectivity:
    """Numbers of one path. All but `position` are fractions of samples.

    Attributes:
        lmc: Mean of both ends minus the error that is farthest from it: negative is a barrier. Its sign can depend on
            the order of the ends, and it is never nearer to zero than half of `endpoint_gap`.
        lmc_symmetric: Mean of `lmc` in both orders.
        position: Index of the point that `lmc` is taken from; the first of equal ones.
        barrier_mean: Highest error minus the mean of both ends.
        barrier_chord: Highest error above the straight line between the errors of both ends; never negative.
        endpoint_gap: Difference of the errors of both ends, without sign.
    """

    lmc: float
    lmc_symmetric: float
    position: int
    barrier_mean: float
    barrier_chord: float
    endpoint_gap: float


def connectivity(errors: Sequence[float]) -> Connectivity:
    """Numbers of a path from its errors at equally spaced points, both ends included.

    Raises:
        ValueError: for fewer than two points.
    """
    if len(errors) < 2:
        raise ValueError(f"a path needs both of its ends, not {len(errors)} points")
    first, last = errors[0], errors[-1]
    mean, steps = (first + last) / 2, len(errors) - 1
    position, deviation = _farthest(errors, mean)
    _, reverse = _farthest(errors[::-1], mean)
    chord = max(error - (first + (last - first) * index / steps) for index, error in enumerate(errors))
    return Connectivity(
        lmc=deviation,
        lmc_symmetric=(deviation + reverse) / 2,
        position=position,
        barrier_mean=max(errors) - mean,
        barrier_chord=max(chord, 0.0),
        endpoint_gap=abs(first - last),
    )


def _farthest(errors: Sequence[float], mean: float) -> tuple[int, float]:
    """Index and mean - error of the point farthest from the mean; the first one of a tie."""
    best = 0
    for index, error in enumerate(errors):
        if abs(mean - error) > abs(mean - errors[best]) + TIE:
            best = index
    return best, mean - errors[best]


def regime(lmc: float, cka: float, train_error: float, num_classes: int, thresholds: Thresholds) -> Regime:
    """The regime of one cell of a three-regime study.

    A network that has collapsed is 'failed', whatever its numbers: two such networks are alike and well connected.

    Args:
        train_error: Mean error of the retrained networks on the training set, a fraction.
    """
    if train_error > thresholds.failed * (1 - 1 / num_classes):
        return "failed"
    if lmc < -thresholds.tau:
        return "I"
    return "II-B" if cka >= thresholds.cka else "II-A"
