"""Statistics against numbers worked by hand, tables of t, and simulated coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from prunebench.benchmark.analysis.paired import (
    COARSEST_STEP,
    MIN_TEST,
    compare,
    differs,
    paired_differences,
    resolution,
    sample_std,
    seed_differences,
    sign_flip_p,
    t_interval,
)


def rows(values: dict[int, float], parents: dict[int, str | None] | None = None) -> pd.DataFrame:
    known = parents or dict.fromkeys(values)
    return pd.DataFrame(
        {"seed": list(values), "accuracy": list(values.values()), "parent": [known[seed] for seed in values]}
    )


def test_the_interval_of_three_values_is_that_of_the_t_table() -> None:
    # mean 2, std 1, t(0.975, 2) = 4.3027
    found = t_interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half_width == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert found.contains(4.4)
    assert not found.contains(4.5)


def test_a_single_value_has_no_spread_and_tells_nothing() -> None:
    assert sample_std([1.0]) is None
    found = t_interval([1.0])
    assert found.half_width is None
    assert found.contains(1000.0)


def test_no_values_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        t_interval([])


def test_the_sample_standard_deviation_divides_by_n_minus_one() -> None:
    assert sample_std([1.0, 3.0]) == pytest.approx(2**0.5)


def test_the_interval_of_three_seeds_covers_the_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(0.7, 0.02, size=(2000, 3))
    covered = np.mean([t_interval(list(draw)).contains(0.7) for draw in draws])
    assert 0.935 < covered < 0.965


def test_differences_are_paired_by_seed_and_the_rest_is_left_out() -> None:
    first, second = rows({0: 0.9, 1: 0.8, 2: 0.7}), rows({2: 0.5, 0: 0.6, 7: 0.1})
    assert paired_differences(first, second, "accuracy") == pytest.approx([0.3, 0.2])


def test_pairs_of_different_dense_trainings_are_left_out() -> None:
    first = rows({0: 0.9, 1: 0.8}, {0: "a", 1: "b"})
    second = rows({0: 0.6, 1: 0.6}, {0: "a", 1: "x"})
    from_initialisation = rows({0: 0.6, 1: 0.6})
    assert paired_differences(first, second, "accuracy") == pytest.approx([0.3])
    assert paired_differences(first, from_initialisation, "accuracy") == pytest.approx([0.3, 0.2])


def test_rows_that_never_share_a_dense_training_are_paired_by_the_seed() -> None:
    """Two values of a knob of dense training; a single common training keeps the rule."""
    short = rows({0: 0.5, 1: 0.7}, {0: "a", 1: "b"})
    long = rows({0: 0.4, 1: 0.4}, {0: "c", 1: "d"})
    mixed = rows({0: 0.4, 1: 0.4}, {0: "a", 1: "d"})
    assert seed_differences(short, long, "accuracy") == pytest.approx([0.1, 0.3])
    assert seed_differences(short, mixed, "accuracy") == pytest.approx([0.1])
    assert seed_differences(short, rows({0: 0.1}), "accuracy") == pytest.approx([0.4])


def test_runs_without_a_number_make_no_pair() -> None:
    assert paired_differences(rows({0: 0.9, 1: float("nan")}), rows({0: 0.6, 1: 0.5}), "accuracy") == pytest.approx(
        [0.3]
    )


@pytest.mark.parametrize(("count", "smallest"), [(6, 2 / 64), (8, 2 / 256)])
def test_the_smallest_p_of_a_sign_flip_test_is_two_of_all_flips(count: int, smallest: float) -> None:
    assert sign_flip_p([0.1 + 0.01 * i for i in range(count)]) == pytest.approx(smallest)


def test_a_sign_flip_test_by_hand() -> None:
    # Of the 8 flips of (1, 2, -3) the means are 0, +-2/3, +-4/3, +-2 and 0: all are at least as far from 0 as 0 is.
    assert sign_flip_p([1.0, 2.0, -3.0]) == pytest.approx(1.0)
    # (3, 2, -1): sum 4. Flips with |sum| >= 4: +-(3,2,-1), +-(3,2,1): 4 of 8.
    assert sign_flip_p([3.0, 2.0, -1.0]) == pytest.approx(0.5)


@pytest.mark.parametrize("count", [6, 9])
def test_the_sign_flip_test_is_that_of_scipy(count: int) -> None:
    from scipy.stats import permutation_test

    values = np.random.default_rng(count).normal(0.5, 1.0, count)
    theirs = permutation_test((values,), np.mean, permutation_type="samples", n_resamples=10_000)
    assert sign_flip_p(list(values)) == pytest.approx(float(theirs.pvalue))


def test_many_pairs_are_tested_at_random_with_the_same_outcome_each_time() -> None:
    values = list(np.random.default_rng(1).normal(0.3, 1.0, 30))
    assert sign_flip_p(values) == sign_flip_p(values)
    assert 0.0 < sign_flip_p(values) < 1.0


def test_below_six_pairs_there_is_no_p_value() -> None:
    assert compare([0.01, 0.012, 0.011, 0.013, 0.009]).p_value is None
    assert compare([0.01] * MIN_TEST).p_value == pytest.approx(2 / 64)


def test_a_difference_is_real_when_its_interval_excludes_zero_and_there_are_three_pairs() -> None:
    assert differs([0.010, 0.011, 0.012])
    assert not differs([0.010, -0.011, 0.012])
    assert not differs([0.010, 0.011])
    assert not differs([])


def test_equal_differences_of_one_test_image_are_no_proof() -> None:
    step = 1 / 500
    assert not differs([step, step, step], smallest_std=step / 2)
    assert differs([10 * step] * 3, smallest_std=step / 2)


def test_the_resolution_is_the_smallest_step_between_accuracies() -> None:
    assert resolution([0.98, 0.982, 0.99]) == pytest.approx(0.002)
    assert resolution([0.5, 0.98]) == COARSEST_STEP
    assert resolution([]) == COARSEST_STEP
