"""The best row of each sparsity, and what the runs say of its distance to the next."""

from __future__ import annotations

from dataclasses import dataclass

from .groups import Group, Groups, is_collapsed
from .paired import PairedComparison
from .verdict import Verdict, compare_groups, verdict


@dataclass(frozen=True)
class Leader:
    """The row of the highest mean at a sparsity, without rows that have a collapsed or failed run.

    Attributes:
        mean: accuracy as a fraction.
        runner_up: the row of the next mean; None if there is no other row.
        comparison: paired differences to it.
        collapsed_above: rows of a higher mean that have a collapsed or failed run.
    """

    target: float
    best: Group
    mean: float
    runner_up: Group | None
    comparison: PairedComparison
    collapsed_above: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        return verdict(self.comparison)


def leaders(groups: Groups, column: str, chance: float | None) -> list[Leader]:
    """One for each sparsity at which a row can be compared: at its sparsity, of the present code, not collapsed."""
    found = (_leader(target, groups.comparable(target), column, chance) for target in groups.targets)
    return [leader for leader in found if leader is not None]


def _leader(target: float, groups: list[Group], column: str, chance: float | None) -> Leader | None:
    means = {group.label: sum(values) / len(values) for group in groups if (values := group.values(column))}
    collapsed = {group.label for group in groups if is_collapsed(group.counted, chance).any()}
    sound = [group for group in groups if group.label in means and group.label not in collapsed]
    # of equal means the first of the study
    ranked = sorted(sound, key=lambda group: -round(means[group.label], 9))
    if not ranked:
        return None
    best, runner_up = ranked[0], ranked[1] if len(ranked) > 1 else None
    above = tuple(label for label in collapsed & means.keys() if means[label] > means[best.label])
    return Leader(
        target, best, means[best.label], runner_up, compare_groups(best, runner_up, column), tuple(sorted(above))
    )
