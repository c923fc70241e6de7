"""What tuning brought: runs with the study's own values, with chosen ones, and the best trial by hindsight.

The oracle is the trial that is best on the test set. It is read only where all that the study evaluates of that row is
stored, it is a mean over the tuning seeds, and it is never ranked.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..api.errors import UserError
from ..studies.trials import Search, label_among, searches
from ..studies.tune_schema import TuneFile
from ..tuning.selection import StoredChoice, StoredScore, StoredSelection, find_choice, read_selection
from ..tuning.stages import evaluation_study
from .accuracy import accuracy_column
from .groups import Group, split_groups
from .study_results import StudyResults, read_results

FAILED = float("-inf")
"""The validation accuracy of a trial that failed, in the spread over trials."""


@dataclass(frozen=True)
class Tuned:
    """The search for the values of a row at one sparsity on one track, and what it brought.

    Attributes:
        choice: what was frozen; None where the trials have not all ended.
        curve: the runs that evaluate the choice among the first trials, by their number; of one trial these have the
            study's own values. None where they are not known yet.
        oracle: test accuracy of the trial best on test, mean over tuning seeds; None where it may not be read.
        validation: of each trial, mean over tuning seeds; FAILED for one that failed.
        num_unusable: trials that failed, collapsed or kept too many weights.
        epochs: of all stored runs of the trials.
    """

    search: Search
    choice: StoredChoice | None
    curve: Mapping[int, Group | None]
    oracle: float | None
    validation: tuple[float, ...]
    num_unusable: int
    epochs: int

    @property
    def own(self) -> Group | None:
        return self.curve[1]

    @property
    def chosen(self) -> Group | None:
        return self.curve[max(self.curve)]

    @property
    def median(self) -> float:
        return statistics.median_low(self.validation)


@dataclass(frozen=True)
class Tuning:
    """All searches of a study, and the choices that were frozen."""

    tune: TuneFile
    selection: StoredSelection | None
    found: tuple[Tuned, ...]

    @property
    def cells(self) -> dict[tuple[float, str], dict[str, Tuned]]:
        """By sparsity and label of the row, and then by track; sparsities ascend."""
        made: dict[tuple[float, str], dict[str, Tuned]] = {}
        for each in sorted(self.found, key=lambda each: each.search.sparsity):
            made.setdefault((each.search.sparsity, each.search.label), {})[each.search.track] = each
        return made


def read_tuning(found: StudyResults, accuracy: str) -> Tuning:
    """What is stored of the searches of a study; `accuracy` is that of the test set by which the oracle is found.

    Raises UserError for a study without `tune`, and for an unknown accuracy.
    """
    accuracy_column(accuracy)
    study, store = found.study, found.store
    tune = study.file.tune
    if tune is None:
        raise UserError(f"study {study.name!r} tunes nothing: it has no key 'tune'")
    own = tuple(row for row in study.rows if not row.is_tuned)
    groups = split_groups(read_results(evaluation_study(replace(study, rows=own), store), store).frame).members
    selection = read_selection(study.name, store)
    made = []
    for search in searches(study.file, own):
        curve = {
            number: groups.get((label_among(search, number, tune), search.sparsity))
            for number in sorted({1, *tune.trials})
        }
        choice = find_choice(selection, search, tune.budget)
        made.append(_tuned(search, choice, curve, _stored_trials(selection, search, choice), found, accuracy))
    return Tuning(tune, selection, tuple(made))


def _stored_trials(selection: StoredSelection | None, search: Search, choice: StoredChoice | None) -> list[StoredScore]:
    """The trials as they were when the choice was made; none where the file has trials of other values by now."""
    if selection is None or choice is None:
        return []
    key = (search.label, search.sparsity, search.track)
    stored = next(
        each["trials"] for each in selection["searches"] if (each["label"], each["sparsity"], each["track"]) == key
    )
    same = [
        each
        for each, trial in zip(stored, search.trials, strict=False)
        if each["runs"] == [run.id for run in trial.runs]
    ]
    return same if len(same) == len(search.trials) else []


def _tuned(
    search: Search,
    choice: StoredChoice | None,
    curve: Mapping[int, Group | None],
    trials: list[StoredScore],
    found: StudyResults,
    accuracy: str,
) -> Tuned:
    is_evaluated = all(group is not None and len(group.done) == len(group.rows) for group in curve.values())
    return Tuned(
        search=search,
        choice=choice,
        curve=curve,
        oracle=_oracle(search, trials, found, accuracy) if is_evaluated and search.track == "A" else None,
        validation=tuple(
            FAILED if each["state"] == "failed" else statistics.fmean(each["validation"]) for each in trials
        ),
        num_unusable=sum(each["state"] != "usable" for each in trials),
        epochs=sum(each["epochs"] * len(each["validation"]) for each in trials),
    )


def _oracle(search: Search, trials: list[StoredScore], found: StudyResults, accuracy: str) -> float | None:
    """The best mean test accuracy of a usable trial over the tuning seeds: one that the search could have chosen."""
    means = []
    for trial in (trial for trial, score in zip(search.trials, trials, strict=False) if score["state"] == "usable"):
        results = [found.store.result(found.study.name, run) for run in trial.runs]
        values = [result["accuracy"][accuracy] for result in results if result is not None]
        if len(values) == len(trial.runs) and None not in values:
            means.append(statistics.fmean(values))
    return max(means, default=None)
