"""What a trial scores: its validation accuracy. Nothing here reads a number of the test set.

Of a stored result only these are read: the accuracy on the validation split of the epoch that this split picks, the
epochs of the training, the sparsity reached, and the layers without a weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...datasets.registry import describe, is_own
from ..runs.run import Run
from ..runs.sparsity_met import MAX_MISS
from ..runs.store import Store
from ..studies.plan import is_open
from ..studies.trials import Search, Trial

State = Literal["open", "failed", "collapsed", "denser", "usable"]
"""`open`: a run of it may still be stored. `denser`: it kept more weights than the row is to keep. Only a usable trial
is ever chosen."""


@dataclass(frozen=True)
class Measured:
    """What is read of one stored run of a trial."""

    validation: float
    epochs: int
    sparsity: float
    is_collapsed: bool


@dataclass(frozen=True)
class Score:
    """A trial, its validation accuracy on each tuning seed that is stored, and the epochs of one of its trainings."""

    trial: Trial
    state: State
    validation: tuple[float, ...] = ()
    epochs: int = 0

    @property
    def mean(self) -> float | None:
        """Mean over the tuning seeds; None unless all of them are stored."""
        complete = self.validation and len(self.validation) == len(self.trial.runs)
        return sum(self.validation) / len(self.validation) if complete else None


def measured(run: Run, result: Mapping[str, Any]) -> Measured:
    """What a search may know of a stored run."""
    validation = float(result["accuracy"]["selected_validation"])
    chance = 1 / _num_classes(run, result)
    is_at_chance = validation <= chance + min(0.02, chance)
    return Measured(
        validation=validation,
        epochs=int(result["cost"]["epochs"]),
        sparsity=float(result["sparsity"]["achieved"]),
        is_collapsed=is_at_chance or bool(result["sparsity"]["empty_layers"]),
    )


def _num_classes(run: Run, result: Mapping[str, Any]) -> int:
    if is_own(run.dataset):
        return int(result["data"]["facts"]["num_classes"])
    return describe(run.dataset, **dict(run.dataset_options)).num_classes


def scores(search: Search, study: str, store: Store) -> list[Score]:
    """The scores of all trials of a search, in the order of their numbers."""
    found = [[_look(run, study, store) for run in trial.runs] for trial in search.trials]
    wanted = _wanted_sparsity(search, found[0])
    return [_score(trial, each, wanted) for trial, each in zip(search.trials, found, strict=True)]


def _look(run: Run, study: str, store: Store) -> Measured | Literal["open", "failed"]:
    result = store.result(study, run)
    if result is not None:
        return measured(run, result)
    return "open" if is_open(store.status(study, run)) else "failed"


def _wanted_sparsity(search: Search, first: Sequence[Measured | str]) -> float:
    """A method that sets its own sparsity must not win by keeping more weights than with its defaults."""
    if search.sparsity > 0:
        return search.sparsity
    return min((each.sparsity for each in first if isinstance(each, Measured)), default=0.0)


def _score(trial: Trial, found: Sequence[Measured | str], wanted: float) -> Score:
    stored = [each for each in found if isinstance(each, Measured)]
    state: State = "usable"
    if "open" in found:
        state = "open"
    elif "failed" in found:
        state = "failed"
    elif any(each.is_collapsed for each in stored):
        state = "collapsed"
    elif any(wanted - each.sparsity > MAX_MISS for each in stored):
        state = "denser"
    return Score(
        trial, state, tuple(each.validation for each in stored), max((each.epochs for each in stored), default=0)
    )


def best(found: Sequence[Score]) -> Score:
    """The usable trial of the best mean; of equals the cheapest, then the first. Trial 0 if none is usable."""
    usable = [(-(score.mean or 0.0), score.epochs, score.trial.number) for score in found if score.state == "usable"]
    number = min(usable)[2] if usable else 0
    return next(score for score in found if score.trial.number == number)
