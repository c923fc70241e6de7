"""Ranks of many methods over many settings. A setting is one (data set, model): its sparsities are not independent.

The procedure is that of Demšar, 2006 (Statistical Comparisons of Classifiers over Multiple Data Sets), with Wilcoxon
tests in place of Nemenyi's: Benavoli et al., 2016 (Should We Really Use Post-Hoc Tests Based on Mean-Ranks?).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, count
from typing import Any, TypeVar

from ..runs.run import DENSE
from ..runs.sparsity_met import MAX_MISS
from .failures import is_counted
from .frame_type import Frame
from .paired import MAX_EXACT, sign_flip_p

Key = TypeVar("Key")

MIN_SETTINGS = 6
"""Fewest settings for a test: with five, a Wilcoxon test cannot reach 5 %."""

MIN_METHODS = 3
"""Fewest methods for Friedman's test; two are compared by their paired differences."""

ALPHA = 0.05

CELL = ["dataset", "model", "target"]
"""Keys of a column of ranks: a sparsity of a setting."""


@dataclass(frozen=True)
class RankTest:
    """Friedman's test over all methods, Holm-adjusted Wilcoxon p-values of pairs, and cliques.

    A clique is a set of methods adjacent in mean rank of which no pair differs: all methods if Friedman's test finds no
    difference. The tests are None below MIN_SETTINGS or MIN_METHODS.
    """

    mean_ranks: dict[str, float]
    num_settings: int
    friedman_p: float | None
    pair_p: dict[tuple[str, str], float] | None
    cliques: list[tuple[str, ...]] | None

    def sentence(self) -> str:
        """The outcome in words, or why there is no test."""
        settings = f"{self.num_settings} {'setting' if self.num_settings == 1 else 'settings'}"
        if self.friedman_p is None or self.pair_p is None:
            return f"Mean ranks over {settings}; no test below {MIN_SETTINGS} settings and {MIN_METHODS} methods."
        text = f"Friedman test over {settings}: p = {self.friedman_p:.3g}."
        if self.friedman_p > ALPHA:
            return f"{text} It finds no difference at {ALPHA * 100:g} %, so no pair is called different."
        apart = sum(value <= ALPHA for value in self.pair_p.values())
        text += (
            f" Wilcoxon signed-rank tests with Holm's correction tell {apart} of {len(self.pair_p)} pairs of methods "
            f"apart at {ALPHA * 100:g} %."
        )
        smallest = smallest_adjusted(self.num_settings, len(self.mean_ranks))
        if smallest <= ALPHA:
            return text
        return f"{text} With so few settings they cannot: the smallest adjusted p-value is {smallest:.2g}."


def rankable(frame: Frame) -> Frame:
    """The pruned runs that count, of methods that are at the sparsity of their column.

    A row of which all runs failed by their own fault has reached no sparsity; it is ranked by the accuracy of chance.
    Left out are methods that set their own sparsity, which share no column, and those whose mean sparsity is more than
    MAX_MISS off the target: an accuracy table does not compare these either.
    """
    pruned = frame[(frame["method"] != DENSE) & is_counted(frame) & (frame["target"] > 0)]
    reached = pruned["sparsity"].astype(float).groupby([pruned[key] for key in [*CELL, "label"]]).transform("mean")
    return pruned[reached.isna() | ((reached - pruned["target"].astype(float)).abs() <= MAX_MISS)]


def cell_ranks(frame: Frame, column: str) -> Frame:
    """Rank of each label in each (data set, model, target): 1 is best, equal means share the mean of their ranks.

    Returns columns dataset, model, target, label, mean, rank. `frame` holds stored pruned runs.
    """
    means = frame.dropna(subset=[column]).groupby([*CELL, "label"], sort=False)[column].mean().rename("mean")
    ranked = means.reset_index()
    # rounded: a mean depends on the order of the values in its last digits
    ranked["rank"] = ranked.assign(mean=ranked["mean"].round(9)).groupby(CELL)["mean"].rank(ascending=False)
    return ranked


def setting_scores(ranks: Frame) -> Frame:
    """One row for each (data set, model), one column for each label that has a rank in all cells of all settings.

    The entry is the label's mean rank over the sparsities of the setting.
    """
    wide = ranks.pivot_table(index=CELL, columns="label", values="rank", sort=False)
    complete = wide.dropna(axis="columns")
    # ranked again, as leaving labels out leaves gaps
    again = complete.rank(axis="columns")
    return again.groupby(level=["dataset", "model"], sort=False).mean()


def rank_test(scores: Frame) -> RankTest:
    """Compare labels (columns) over settings (rows) by their mean ranks in each; lower is better.

    The mean rank of a label is the mean of its column. The entries are not ranked again: then a method that is
    narrowly ahead in every setting would be as good as one that wins everywhere.
    """
    means = {str(label): float(value) for label, value in scores.mean().sort_values(kind="stable").items()}
    if len(scores) < MIN_SETTINGS or len(means) < MIN_METHODS:
        return RankTest(means, len(scores), None, None, None)
    from scipy.stats import friedmanchisquare

    # scipy ranks the entries of each setting itself; its formula is 0 / 0 if all entries of every setting are equal.
    is_tied = bool((scores.nunique(axis="columns") == 1).all())
    friedman: Any = None if is_tied else friedmanchisquare(*(scores[label] for label in means))
    p_value = 1.0 if friedman is None else float(friedman.pvalue)
    pairs = holm({pair: _wilcoxon(scores, *pair) for pair in combinations(means, 2)})
    groups = cliques(list(means), pairs) if p_value <= ALPHA else [tuple(means)]
    return RankTest(means, len(scores), p_value, pairs, groups)


def fewest_settings(num_methods: int) -> int:
    """Fewest settings with which a pair of methods can differ: 7 for three methods, 9 for five, 11 for ten."""
    return next(number for number in count(MIN_SETTINGS) if smallest_adjusted(number, num_methods) <= ALPHA)


def smallest_adjusted(num_settings: int, num_methods: int) -> float:
    """Smallest p-value that a pair can have: that of an exact signed-rank test, times the number of pairs."""
    return min(1.0, 2.0 ** (1 - num_settings) * num_methods * (num_methods - 1) / 2)


def _wilcoxon(scores: Frame, first: str, second: str) -> float:
    # rounded, so that differences that are equal but for the last digits are ties
    difference = (scores[first] - scores[second]).round(9).to_numpy()
    changed = difference[difference != 0]
    if not len(changed):
        return 1.0
    import numpy as np
    from scipy.stats import rankdata, wilcoxon

    if len(changed) <= MAX_EXACT:
        # scipy's test is exact only without ties, and ranks have many
        return sign_flip_p(np.sign(changed) * rankdata(np.abs(changed)))
    tested: Any = wilcoxon(changed)
    return float(tested.pvalue)


def holm(p_values: dict[Key, float]) -> dict[Key, float]:
    """Holm's step-down adjustment: the i-th smallest of m p-values times m - i, never decreasing, at most 1."""
    adjusted, largest = {}, 0.0
    for index, (pair, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, value * (len(p_values) - index)))
        adjusted[pair] = largest
    return adjusted


def cliques(ordered: list[str], pair_p: dict[tuple[str, str], float]) -> list[tuple[str, ...]]:
    """Largest sets of at least two methods adjacent in mean rank without a pair that differs."""
    found: list[tuple[str, ...]] = []
    for start in range(len(ordered)):
        end = start + 1
        while end < len(ordered) and all(pair_p[ordered[i], ordered[end]] > ALPHA for i in range(start, end)):
            end += 1
        members = tuple(ordered[start:end])
        if len(members) > 1 and not any(set(members) <= set(known) for known in found):
            found.append(members)
    return found
