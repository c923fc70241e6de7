"""The two stages of a study with `tune`: the trials, and then the evaluation of what was chosen.

Each is a study whose rows are ordinary runs, so that all commands work with it as with any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..runs.number_of import number_of
from ..runs.store import Store
from ..studies.load import Study
from ..studies.names import Named
from ..studies.rows import Row
from ..studies.trials import Search, evaluations, label_among, other_file, tuned_label
from .selection import StoredSelection, choices_of, chosen_trial, find_choice, read_selection

WAITS = "its trials are not chosen from yet: `prunebench run` does"


def trial_studies(study: Study) -> list[Study]:
    """The trials as studies: one of each track, because a study has one data set and network."""
    return [
        replace(
            study,
            file=study.file if track == "A" else other_file(study.file),
            rows=tuple(row for search in found for row in _trial_rows(search)),
        )
        for track in (study.file.tune.all_tracks if study.file.tune else ())
        if (found := [search for search in study.searches if search.track == track])
    ]


def _trial_rows(search: Search) -> Iterator[Row]:
    for trial in search.trials:
        for run in trial.runs:
            label = f"{search.label}, trial {trial.number}"
            yield Row(
                label, search.method, run.method_options, search.sparsity, run.seed, run, is_tuned=True,
                epoch_share=trial.epoch_share,
            )  # fmt: skip


def datasets_of(study: Study) -> list[Named]:
    """The data sets of a study: its own, and that of track B."""
    on = study.file.tune.on if study.file.tune else None
    return [study.file.dataset, *([on.dataset] if on and on.dataset and on.dataset != study.file.dataset else [])]


def models_of(study: Study) -> list[Named]:
    """The networks of a study: its own, and that of track B."""
    on = study.file.tune.on if study.file.tune else None
    return [study.file.model, *([on.model] if on and on.model and on.model != study.file.model else [])]


def unchecked_trials(study: Study) -> frozenset[str]:
    """Runs that a method may refuse when they begin: values that do not go together make a trial fail, as any other
    fault does, and not the whole study. Trial 0 is checked before anything runs.
    """
    found = [search.trials for search in study.searches]
    checked = {run.id for trials in found for run in trials[0].runs}
    return frozenset(run.id for trials in found for trial in trials for run in trial.runs) - checked


def shown_study(study: Study, store: Store) -> Study:
    """The study with a tuned row beside each pruned one, which waits where nothing is chosen yet."""
    if study.file.tune is None:
        return study
    return replace(study, rows=(*study.rows, *_tuned_rows(study, read_selection(study.name, store))))


def _tuned_rows(study: Study, selection: StoredSelection | None) -> Iterator[Row]:
    tune = study.file.tune
    assert tune is not None
    for search in study.searches:
        label = tuned_label(search.label, search.track, tune)
        choice = find_choice(selection, search, tune.budget)
        if choice is None:
            yield Row(label, search.method, (), search.sparsity, -1, None, WAITS, is_tuned=True)
        else:
            yield from evaluations(search, chosen_trial(choice, search), label)


def evaluation_study(study: Study, store: Store) -> Study:
    """The rows with the study's own values, and those with the values chosen among each number of trials."""
    shown = shown_study(study, store)
    tune = study.file.tune
    if tune is None:
        return shown
    selection = read_selection(study.name, store)
    curve = [
        row
        for search in study.searches
        for number in sorted(tune.trials)
        if number not in (1, tune.budget) and (choice := find_choice(selection, search, number)) is not None
        for row in evaluations(search, chosen_trial(choice, search), label_among(search, number, tune))
    ]
    return replace(shown, rows=(*shown.rows, *curve))


def whole_study(study: Study, store: Store) -> Study:
    """Every run that is known now: trials, and what is chosen of them."""
    if study.file.tune is None:
        return study
    trials = (row for part in trial_studies(study) for row in part.rows)
    return replace(study, rows=(*trials, *evaluation_study(study, store).rows))


@dataclass(frozen=True)
class Progress:
    """How far a study with `tune` is: numbers of trials and of searches that are chosen from, and the choices.

    `num_other`: frozen choices of these searches that another `tune` has asked for.
    """

    num_runs: int
    num_done: int
    num_searches: int
    num_chosen: int
    num_other: int
    selection: StoredSelection | None

    @property
    def is_chosen(self) -> bool:
        return self.num_chosen == self.num_searches

    def lines(self) -> list[str]:
        """What `plan`, `run` and `status` say about the stages."""
        lines = [f"trials: {self.num_done} of {self.num_runs} runs are stored"]
        found = self.selection
        if found is None or not self.num_chosen:
            waits = "waits for the trials" if self.num_done < self.num_runs else "is made by the next `run` or `submit`"
            return [*lines, f"selection: {waits}; then tuned rows are evaluated"]
        other = f"; {number_of(self.num_other, 'choice')} in it of another `tune`" if self.num_other else ""
        chosen = f"{self.num_chosen} of {self.num_searches} searches are chosen from"
        return [*lines, f"selection: {found['hash']}, {chosen}{other}", *replaced_lines(found)]


def replaced_lines(selection: StoredSelection) -> list[str]:
    """A line where choices were frozen before, and were others."""
    number = len(selection["replaced"])
    if not number:
        return []
    hashes = ", ".join(dict.fromkeys(choice["hash"] for choice in selection["replaced"]))
    return [f"selection: {number} {'choice was' if number == 1 else 'choices were'} replaced by later ones ({hashes})"]


def progress(study: Study, store: Store) -> Progress:
    """Look up how far the stages are."""
    found, selection = study.searches, read_selection(study.name, store)
    runs = {run.id: run for search in found for trial in search.trials for run in trial.runs}
    tune = study.file.tune
    budget, numbers = (tune.budget, tune.trials) if tune else (0, [])
    asked = [find_choice(selection, search, number) for search in found for number in numbers]
    return Progress(
        num_runs=len(runs),
        num_done=store.num_done(study.name, runs.values()),
        num_searches=len(found),
        num_chosen=sum(find_choice(selection, search, budget) is not None for search in found),
        num_other=len(choices_of(selection, found)) - sum(choice is not None for choice in asked),
        selection=selection,
    )
