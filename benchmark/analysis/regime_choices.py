"""Case studies of the three-regime paper: which value of the knob do measurements choose, and how far from the best?

Every rule but the oracle chooses from training and validation data; test errors give its regret alone. A rule costs
the trainings that it looks at and what it measures between them, and the dense training and one retraining of its
choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .connectivity import Thresholds
from .regime_cells import RegimeMap, SeedCell, regime_of

Score = float | tuple[float, ...]
"""Of a candidate; the highest one is chosen, of equal ones the hottest."""


@dataclass(frozen=True)
class Candidates:
    """The cells of one density and one dense seed, from hot to cold. `default` and `half` are indices."""

    cells: tuple[SeedCell, ...]
    default: int
    half: int
    num_classes: int
    thresholds: Thresholds

    def regime(self, index: int) -> str:
        cell = self.cells[index]
        return regime_of(lambda name: _number(getattr(cell, name)), self.thresholds, self.num_classes)


@dataclass(frozen=True)
class Choice:
    """What a rule chooses, and what it looked at.

    Attributes:
        index: None for the mean over all candidates, a choice at random.
        dense: Indices of the dense trainings that it looked at; `retrained` those with all retrainings.
        measures: Whether it measured pairs of these.
        scores: One for each candidate where it ranks them all.
    """

    index: int | None
    dense: frozenset[int] = frozenset()
    retrained: frozenset[int] = frozenset()
    measures: bool = False
    scores: tuple[Score, ...] | None = None


def walk(found: Candidates) -> Choice:
    """Case study 1: from the default, hotter as long as retrainings are badly connected (I); else colder in II-A.

    A step to the cold that leads to regime I, or to a failed network, is taken back.
    """
    index, seen = found.default, {found.default}
    if found.regime(index) in ("I", "failed"):
        while index > 0 and found.regime(index) in ("I", "failed"):
            index -= 1
            seen.add(index)
    else:
        while index + 1 < len(found.cells) and found.regime(index) == "II-A":
            seen.add(index + 1)
            if found.regime(index + 1) in ("I", "failed"):
                break
            index += 1
    return Choice(index, frozenset(seen), frozenset(seen), measures=True)


def connected_then_alike(found: Candidates) -> Choice:
    """Case study 2: networks that are well connected before others, of these the one of the highest CKA."""

    def score(index: int) -> Score:
        cell, regime = found.cells[index], found.regime(index)
        rank = {"failed": 0.0, "I": 1.0}.get(regime, 2.0)
        return rank, cell.lmc if rank < 2 else _number(cell.cka)

    return _ranked(found, score, measures=True, retrains=True)


def by_retraining(found: Candidates) -> Choice | None:
    """The smallest validation error of the retrainings: known for free where they are measured."""
    return _by_error(found, "validation_error", retrains=True)


def by_dense(found: Candidates) -> Choice | None:
    """The dense network of the smallest validation error."""
    return _by_error(found, "dense_validation_error", retrains=False)


def _by_error(found: Candidates, name: str, *, retrains: bool) -> Choice | None:
    errors = [getattr(cell, name) for cell in found.cells]
    if any(error is None for error in errors):
        return None
    return _ranked(found, lambda index: -errors[index], measures=False, retrains=retrains)


def _ranked(found: Candidates, score: Callable[[int], Score], *, measures: bool, retrains: bool) -> Choice:
    every = range(len(found.cells))
    scores = tuple(score(index) for index in every)
    seen = frozenset(every)
    best = max(every, key=lambda index: (scores[index], -index))
    return Choice(best, seen, seen if retrains else frozenset(), measures, scores)


def oracle(found: Candidates) -> Choice:
    """The smallest test error: no rule, but what regrets are measured from."""
    return Choice(min(range(len(found.cells)), key=lambda index: found.cells[index].test_error))


RULES: dict[str, Callable[[Candidates], Choice | None]] = {
    "Case study 1: walk by LMC and CKA": walk,
    "Case study 2: LMC, then CKA": connected_then_alike,
    "Always the default": lambda found: Choice(found.default),
    "Always half of the default": lambda found: Choice(found.half),
    "Best dense network on validation": by_dense,
    "Best retraining on validation": by_retraining,
    "At random": lambda _: Choice(None),
    "Oracle (uses test)": oracle,
}


@dataclass(frozen=True)
class Outcome:
    """Of one rule at one density and seed. `regret` is a fraction of the test set, `epochs` its cost."""

    regret: float
    is_best: bool
    epochs: float
    kendall: float | None


def outcome(found: Candidates, choice: Choice) -> Outcome:
    """Regret and cost of a choice."""
    errors = [cell.test_error for cell in found.cells]
    best = min(errors)
    if choice.index is None:
        costs = [_cost(found, Choice(index)) for index in range(len(errors))]
        return Outcome(sum(errors) / len(errors) - best, False, sum(costs) / len(costs), None)
    regret = errors[choice.index] - best
    kendall = None if choice.scores is None else _kendall(choice.scores, [-error for error in errors])
    return Outcome(regret, regret < 1e-12, _cost(found, choice), kendall)


def _cost(found: Candidates, choice: Choice) -> float:
    """Epochs of training, measuring included."""
    cells, index = found.cells, choice.index
    assert index is not None
    epochs = sum(cells[each].dense_epochs for each in choice.dense | {index})
    epochs += sum(cells[each].retrain_epochs * cells[each].num_retrainings for each in choice.retrained)
    if index not in choice.retrained:
        epochs += cells[index].retrain_epochs
    return epochs + (sum(cells[each].measuring_epochs for each in choice.retrained) if choice.measures else 0.0)


def _kendall(scores: Sequence[Score], values: Sequence[float]) -> float | None:
    """Kendall's tau-b between two orders; None where all of one are equal."""
    from scipy.stats import kendalltau

    ordered = sorted(set(scores))  # pyright: ignore[reportArgumentType]  all numbers, or all tuples of equal length
    found: Any = kendalltau([ordered.index(score) for score in scores], list(values))
    return None if math.isnan(found.statistic) else float(found.statistic)


def candidates(found: RegimeMap, density: float) -> dict[int, Candidates]:
    """By seed, where all cells of a density are complete; empty otherwise."""
    column = found.column(density)
    if len(column) < len(found.values):
        return {}
    default = found.values.index(found.default)
    return {
        seed: Candidates(
            cells=tuple(column[value].seeds[seed] for value in found.values),
            default=default,
            half=_half(found),
            num_classes=found.num_classes,
            thresholds=found.thresholds,
        )
        for seed in column[found.values[0]].seeds
    }


def _half(found: RegimeMap) -> int:
    """The value nearest to half of the default; for the learning rate to twice, which is hotter as well."""
    wanted = found.default * (2 if found.knob == "lr" else 0.5)
    return min(range(len(found.values)), key=lambda index: abs(math.log(found.values[index] / wanted)))


def _number(value: float | None) -> float:
    return -math.inf if value is None else value
