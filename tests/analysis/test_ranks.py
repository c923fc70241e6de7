"""Ranks, Holm's adjustment and cliques against worked examples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from prunebench.benchmark.analysis.ranks import (
    MIN_SETTINGS,
    cell_ranks,
    cliques,
    fewest_settings,
    holm,
    rank_test,
    rankable,
    setting_scores,
    smallest_adjusted,
)


def frame(means: dict[tuple[str, float, str], float]) -> pd.DataFrame:
    """Two seeds around each mean, by (data set, target, label)."""
    return pd.DataFrame(
        [
            {"dataset": dataset, "model": "m", "target": target, "label": label, "accuracy": mean + shift}
            for (dataset, target, label), mean in means.items()
            for shift in (-0.01, 0.01)
        ]
    )


def test_ranks_are_by_mean_and_equal_means_share_the_mean_rank() -> None:
    ranks = cell_ranks(frame({("d", 0.9, "a"): 0.9, ("d", 0.9, "b"): 0.9, ("d", 0.9, "c"): 0.95}), "accuracy")
    assert dict(zip(ranks["label"], ranks["rank"], strict=True)) == {"a": 2.5, "b": 2.5, "c": 1.0}


def test_sparsities_of_one_network_are_one_setting() -> None:
    cells = {
        ("d", 0.8, "a"): 0.9, ("d", 0.8, "b"): 0.8, ("d", 0.9, "a"): 0.5, ("d", 0.9, "b"): 0.6,
        ("e", 0.9, "a"): 0.7, ("e", 0.9, "b"): 0.6,
    }  # fmt: skip
    scores = setting_scores(cell_ranks(frame(cells), "accuracy"))
    assert scores.loc[("d", "m")].to_dict() == {"a": 1.5, "b": 1.5}
    assert scores.loc[("e", "m")].to_dict() == {"a": 1.0, "b": 2.0}


def test_a_method_that_is_not_everywhere_gets_no_mean_rank_and_leaves_no_gap() -> None:
    cells = {
        ("d", 0.8, "a"): 0.7,
        ("d", 0.8, "b"): 0.8,
        ("d", 0.8, "c"): 0.75,
        ("d", 0.9, "a"): 0.7,
        ("d", 0.9, "b"): 0.8,
    }
    scores = setting_scores(cell_ranks(frame(cells), "accuracy"))
    assert scores.loc[("d", "m")].to_dict() == {"a": 2.0, "b": 1.0}


def table(settings: int, order: str = "abcd") -> pd.DataFrame:
    """The same order in every setting; the differences of ranks vary a little."""
    noise = np.random.default_rng(0).random((settings, len(order))) * 0.1
    return pd.DataFrame(1 + np.arange(len(order)) + noise - noise.mean(axis=0), columns=list(order))


def test_there_is_no_test_below_six_settings_and_the_words_say_so() -> None:
    test = rank_test(table(MIN_SETTINGS - 1))
    assert test.cliques is None
    assert test.friedman_p is None
    assert "no test below 6 settings" in test.sentence()
    assert test.mean_ranks == pytest.approx({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0})


def test_mean_ranks_are_not_ranked_again() -> None:
    # a wins four of five sparsities of d, b wins both of e: mean ranks 1.2 and 2 for a, 1.8 and 1 for b
    cells = {("d", t, label): 0.9 for t in (0.5, 0.6, 0.7, 0.8, 0.9) for label in "ab"}
    cells |= {("d", t, "b"): 0.8 for t in (0.5, 0.6, 0.7, 0.8)} | {("d", 0.9, "a"): 0.8}
    cells |= {("e", 0.5, "a"): 0.7, ("e", 0.5, "b"): 0.8, ("e", 0.9, "a"): 0.7, ("e", 0.9, "b"): 0.8}
    test = rank_test(setting_scores(cell_ranks(frame(cells), "accuracy")))
    assert test.mean_ranks == pytest.approx({"b": 1.4, "a": 1.6})
    assert test.num_settings == 2


def test_runs_beside_their_target_and_without_one_are_not_ranked() -> None:
    runs = pd.DataFrame(
        {
            "dataset": "d",
            "model": "m",
            "method": ["dense", "set", "set", "dsr", "str", "snip"],
            "label": ["Dense", "SET", "SET", "DSR", "STR", "SNIP"],
            "target": [0.0, 0.9, 0.9, 0.9, 0.0, 0.9],
            "sparsity": [0.0, 0.8989, 0.9009, 0.8989, 0.9, None],
            "state": ["done", "done", "done", "done", "done", "failed"],
            "fault": [None, None, None, None, None, "machine"],
        }
    )
    assert list(rankable(runs)["label"]) == ["SET", "SET"]
    assert rankable(runs.iloc[:0]).empty


def test_without_a_friedman_difference_no_pair_is_called_different() -> None:
    # a and b swap places and c is always between them: no pair differs
    scores = pd.DataFrame({"a": [1.0, 3.0] * 6, "b": [3.0, 1.0] * 6, "c": [2.0] * 12})
    test = rank_test(scores)
    assert test.friedman_p == pytest.approx(1.0)
    assert test.cliques == [("a", "b", "c")]
    assert "no pair is called different" in test.sentence()
    tied = rank_test(pd.DataFrame(dict.fromkeys("abc", [2.0] * 12)))
    assert (tied.friedman_p, tied.cliques) == (1.0, [("a", "b", "c")])


@pytest.mark.parametrize("settings", [6, 9, 15, 16])
def test_the_wilcoxon_test_is_exact_with_ties_and_scipys_without(settings: int) -> None:
    from scipy.stats import wilcoxon

    values = np.random.default_rng(settings).normal(0.5, 1.0, settings)
    scores = pd.DataFrame({"a": values, "b": 0.0, "c": -9.0})
    found = rank_test(scores).pair_p or {}
    raw = float(wilcoxon(values.round(9), method="exact").pvalue)
    assert min(found[key] for key in found if set(key) == {"a", "b"}) == pytest.approx(raw)
    tied = pd.DataFrame({"a": [1.0] * settings, "b": [2.0] * settings, "c": [3.0] * settings})
    smallest = smallest_adjusted(settings, 3)
    assert list((rank_test(tied).pair_p or {}).values()) == pytest.approx([smallest] * 3)


@pytest.mark.parametrize(("methods", "settings"), [(3, 7), (4, 8), (5, 9), (13, 12), (40, 15)])
def test_the_fewest_settings_at_which_a_pair_can_be_told_apart(methods: int, settings: int) -> None:
    assert fewest_settings(methods) == settings
    assert smallest_adjusted(settings, methods) <= 0.05 < smallest_adjusted(settings - 1, methods)
    order = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN"[:methods]
    assert rank_test(table(settings, order)).cliques == []


def test_the_friedman_statistic_of_perfect_agreement() -> None:
    # N settings, k methods always in the same order: chi2 = N (k - 1), here 18 with 3 degrees of freedom
    from scipy.stats import chi2

    assert rank_test(table(6)).friedman_p == pytest.approx(float(chi2.sf(18, 3)))


def test_six_settings_cannot_tell_six_pairs_apart_and_ten_can() -> None:
    few, many = rank_test(table(6)), rank_test(table(10))
    assert few.cliques == [("a", "b", "c", "d")]
    assert "smallest adjusted p-value is 0.19" in few.sentence()
    assert many.cliques == []
    assert "smallest adjusted" not in many.sentence()


def test_the_smallest_p_value_is_that_of_the_test() -> None:
    assert rank_test(table(10)).pair_p is not None
    assert min((rank_test(table(10)).pair_p or {}).values()) == pytest.approx(smallest_adjusted(10, 4))


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.04 times 3, 2, 1: 0.03, 0.04, 0.04
    found = holm({("a", "b"): 0.04, ("a", "c"): 0.01, ("b", "c"): 0.02})
    assert found == pytest.approx({("a", "c"): 0.03, ("b", "c"): 0.04, ("a", "b"): 0.04})
    assert holm({("a", "b"): 0.9, ("a", "c"): 0.8}) == {("a", "c"): 1.0, ("a", "b"): 1.0}


def test_cliques_are_the_longest_runs_without_a_difference() -> None:
    same, apart = 0.5, 0.01
    pairs = {
        ("a", "b"): same,
        ("a", "c"): apart,
        ("a", "d"): apart,
        ("b", "c"): same,
        ("b", "d"): same,
        ("c", "d"): same,
    }
    assert cliques(list("abcd"), pairs) == [("a", "b"), ("b", "c", "d")]
