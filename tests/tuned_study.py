"""A study with `tune`, and results of its trials with numbers that are easy to check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.studies.trials import Search, searches
from prunebench.benchmark.tuning.stages import evaluation_study
from synthetic_results import store_failure, store_result, write_study

STUDY = """\
name: tuned
dataset: digits
model: convnet-small
seeds: [0, 1, 2]
train: {epochs: 2, batch_size: 50, lr: 0.1}
finetune: {epochs: 3}
runs:
  - method: dense
  - method: [snip, random]
    sparsity: 90%
tune: {trials: [1, 2, 3], seeds: [7, 8]}
"""

Accuracy = Callable[[int, int], float]
"""The accuracy of the run of a trial, from its number and its place among the tuning seeds."""


def made(folder: Path, text: str = STUDY) -> tuple[Study, Store]:
    return write_study(folder, text), Store(folder / "results")


def search_of(study: Study, label: str, track: str = "A") -> Search:
    return next(each for each in searches(study.file, study.rows) if (each.label, each.track) == (label, track))


def store_trials(store: Store, search: Search, accuracy: Accuracy, test: float | None = None, **changes: Any) -> None:
    """Store all runs of a search; `test` replaces their test accuracy, `changes` other values of their results."""
    for trial in search.trials:
        for place, run in enumerate(trial.runs):
            store_trial(store, run, accuracy(trial.number, place), test, **changes)


def store_trial(store: Store, run: Run, validation: float, test: float | None = None, **changes: Any) -> None:
    shown = validation if test is None else test
    store_result(store, "tuned", run, shown, accuracy__selected_validation=validation, **changes)


def fail_trial(store: Store, search: Search, number: int) -> None:
    store_failure(store, "tuned", search.trials[number].runs[0], "the loss is not finite")


def store_all(store: Store, study: Study) -> None:
    """Trials of which the second is the best, for every search; then what is evaluated of them, after `freeze`."""
    for search in searches(study.file, study.rows):
        store_trials(store, search, lambda number, place: 0.8 + 0.05 * (number == 1) + 0.001 * place)


def store_evaluation(store: Store, study: Study, accuracy: Callable[[Run], float]) -> None:
    for run in evaluation_study(study, store).runs:
        store_result(store, study.name, run, accuracy(run))
