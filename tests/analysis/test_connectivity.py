"""Numbers of a path between two networks, and regimes, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.analysis.connectivity import Thresholds, connectivity, regime

DOUBLE_WELL = [((-1 + 2 * k / 10) ** 2 - 1) ** 2 for k in range(11)]
CONVEX = [(-1 + 2 * k / 10) ** 2 for k in range(11)]
CUBIC = [(-1 + 2 * k / 10) ** 3 - (-1 + 2 * k / 10) for k in range(11)]
VECTORS = {
    "flat": ([0.3] * 11, 0, 0, 0, 0),
    "barrier": (DOUBLE_WELL, -1, 5, 1, 1),
    "the middle is better": (CONVEX, 1, 5, 0, 0),
    # mean 0.3, deviations 0.1, -0.2, 0.25, -0.1: the largest one hides a barrier of 0.2
    "hidden barrier": ([0.2, 0.5, 0.05, 0.4], 0.25, 2, 0.2, 0.2333333333),
    "three points": ([0.1, 0.9, 0.1], -0.8, 1, 0.8, 0.8),
    "unequal ends": ([0.10, 0.10, 0.14], 0.02, 0, 0.02, 0),
    "unequal ends, reversed": ([0.14, 0.10, 0.10], -0.02, 0, 0.02, 0),
    "straight": ([k / 10 for k in range(11)], 0.5, 0, 0.5, 0),
    # k = 8 deviates as far in the other direction: without a tolerance rounding would choose
    "tie": (CUBIC, -0.384, 2, 0.384, 0.384),
}


@pytest.mark.parametrize(("errors", "lmc", "position", "mean", "chord"), VECTORS.values(), ids=VECTORS)
def test_known_paths(errors: list[float], lmc: float, position: int, mean: float, chord: float) -> None:
    found = connectivity(errors)
    assert found.lmc == pytest.approx(lmc, abs=1e-9)
    assert found.position == position
    assert found.barrier_mean == pytest.approx(mean, abs=1e-9)
    assert found.barrier_chord == pytest.approx(chord, abs=1e-9)


def test_the_symmetric_number_forgets_the_order_of_the_ends() -> None:
    assert connectivity([0.10, 0.10, 0.14]).lmc_symmetric == pytest.approx(0, abs=1e-12)
    assert connectivity([0.10, 0.50, 0.14]).lmc_symmetric == pytest.approx(-0.38)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_bounds_hold_for_every_path(errors: list[float]) -> None:
    found, reverse = connectivity(errors), connectivity(errors[::-1])
    assert abs(found.lmc) >= found.endpoint_gap / 2 - 1e-9
    assert found.barrier_chord >= 0
    assert found.barrier_mean >= -1e-12
    assert found.lmc_symmetric == pytest.approx(reverse.lmc_symmetric, abs=1e-9)
    assert found.barrier_chord == pytest.approx(reverse.barrier_chord, abs=1e-9)


def test_one_point_is_no_path() -> None:
    with pytest.raises(ValueError, match="both of its ends"):
        connectivity([0.1])


@pytest.mark.parametrize(
    ("lmc", "cka", "train_error", "expected"),
    [
        (-0.16, 0.999, 0.1, "I"),
        (-0.15, 0.98, 0.1, "II-A"),
        (0.02, 0.99, 0.1, "II-B"),
        (0.02, math.nan, 0.1, "II-A"),
        # two collapsed networks are alike (0.999) and well connected
        (-0.02, 0.999, 0.64, "failed"),
        (-0.50, 0.999, 0.64, "failed"),
        (-0.02, 0.999, 0.63, "II-B"),
    ],
)
def test_regimes(lmc: float, cka: float, train_error: float, expected: str) -> None:
    assert regime(lmc, cka, train_error, num_classes=10, thresholds=Thresholds()) == expected


def test_thresholds_can_be_moved() -> None:
    assert regime(-0.12, 0.98, 0.1, 10, Thresholds(tau=0.10)) == "I"
    assert regime(-0.02, 0.98, 0.1, 10, Thresholds(cka=0.97)) == "II-B"
    assert regime(-0.02, 0.98, 0.4, 10, Thresholds(failed=0.4)) == "failed"
