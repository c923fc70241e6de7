"""Ranks of many methods over many settings. A setting is one (data set, model): its sparsities are not independent."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from .report_types import Frame

MIN_SETTINGS = 6
"""Fewest settings for a test: the Wilcoxon test of five pairs cannot reach 5 %."""

ALPHA = 0.05


@dataclass(frozen=True)
class RankTest:
    """Friedman's test over all methods, Holm-adjusted Wilcoxon p-values of pairs, and cliques.

    A clique holds methods next to each other in mean rank of which no pair differs; None below MIN_SETTINGS.
    """

    mean_ranks: dict[str, float]
    num_settings: int
    friedman_p: float | None
    pair_p: dict[tuple[str, str], float] | None
    cliques: list[tuple[str, ...]] | None

    def sentence(self) -> str:
        """The outcome in words, or why there is no test."""
        settings = f"{self.num_settings} {'setting' if self.num_settings == 1 else 'settings'}"
        if self.friedman_p is None:
            return f"Mean ranks over {settings}; no test below {MIN_SETTINGS} settings and 3 methods."
        text = (
            f"Friedman test over {settings}: p = {self.friedman_p:.3g}. Bars join methods that Wilcoxon signed-rank "
            f"tests with Holm's correction do not tell apart at {ALPHA * 100:g} %."
        )
        smallest = smallest_adjusted(self.num_settings, len(self.mean_ranks))
        if smallest <= ALPHA:
            return text
        return f"{text} With so few settings they cannot: the smallest adjusted p-value is {smallest:.2g}."


def cell_ranks(frame: Frame, column: str) -> Frame:
    """Rank of each label in each (data set, model, target): 1 is best, equal means share the mean of their ranks.

    Returns columns dataset, model, target, label, mean, rank. `frame` holds stored pruned runs.
    """
    keys = ["dataset", "model", "target"]
    means = frame.dropna(subset=[column]).groupby([*keys, "label"], sort=False)[column].mean().rename("mean")
    ranked = means.reset_index()
    # rounded, so that means of the same accuracies in another order are equal
    ranked["rank"] = ranked.assign(mean=ranked["mean"].round(9)).groupby(keys)["mean"].rank(ascending=False)
    return ranked


def setting_scores(ranks: Frame) -> Frame:
    """One row for each (data set, model), one column for each label that has a rank in all cells of all settings.

    The entry is the label's mean rank over the sparsities of the setting.
    """
    wide = ranks.pivot_table(index=["dataset", "model", "target"], columns="label", values="rank", sort=False)
    complete = wide.dropna(axis="columns")
    # ranks among those that are everywhere: leaving one out must not leave a gap
    again = complete.rank(axis="columns")
    return again.groupby(level=["dataset", "model"], sort=False).mean()


def rank_test(scores: Frame) -> RankTest:
    """Compare labels (columns) over settings (rows) by their ranks; lower is better."""
    ranks = scores.rank(axis="columns")
    means = {str(label): float(value) for label, value in ranks.mean().sort_values(kind="stable").items()}
    if len(scores) < MIN_SETTINGS or len(means) < 3:
        return RankTest(means, len(scores), None, None, None)
    from scipy.stats import friedmanchisquare

    friedman: Any = friedmanchisquare(*(scores[label] for label in means))
    pairs = holm({pair: _wilcoxon(scores, *pair) for pair in combinations(means, 2)})
    return RankTest(means, len(scores), float(friedman.pvalue), pairs, cliques(list(means), pairs))


def smallest_adjusted(num_settings: int, num_methods: int) -> float:
    """The smallest p-value that a pair can have: an exact signed-rank test of n values, times the number of pairs."""
    return min(1.0, 2.0 ** (1 - num_settings) * num_methods * (num_methods - 1) / 2)


def _wilcoxon(scores: Frame, first: str, second: str) -> float:
    difference = (scores[first] - scores[second]).to_numpy()
    if not difference.any():
        return 1.0
    from scipy.stats import wilcoxon

    tested: Any = wilcoxon(difference)
    return float(tested.pvalue)


def holm(p_values: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Holm's step-down adjustment: the i-th smallest of m p-values times m - i, never decreasing, at most 1."""
    adjusted, largest = {}, 0.0
    for index, (pair, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, value * (len(p_values) - index)))
        adjusted[pair] = largest
    return adjusted


def cliques(ordered: list[str], pair_p: dict[tuple[str, str], float], alpha: float = ALPHA) -> list[tuple[str, ...]]:
    """Longest runs of methods, in order of mean rank, without a pair that differs; single methods are left out."""
    found: list[tuple[str, ...]] = []
    for start in range(len(ordered)):
        end = start + 1
        while end < len(ordered) and all(pair_p[ordered[i], ordered[end]] > alpha for i in range(start, end)):
            end += 1
        members = tuple(ordered[start:end])
        if len(members) > 1 and not any(set(members) <= set(known) for known in found):
            found.append(members)
    return found
