"""What the searches of each row cost: trials, runs and epochs, known before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..runs.number_of import number_of
from ..studies.load import Study
from ..studies.run_cost import run_cost
from ..studies.trials import Search


@dataclass(frozen=True)
class SearchCost:
    """What the trials of one row cost, over all sparsities and tracks. `epochs` are those of the runs' own trainings.

    None where a method does not say how many epochs it trains.
    """

    label: str
    searches: int
    trials: int
    runs: int
    epochs: int | None


def ledger(study: Study) -> list[SearchCost]:
    """The cost of each pruned row, in the order of the study; numbers of trials are equal at equal sparsities."""
    by_label: dict[str, list[Search]] = {}
    for search in study.searches:
        by_label.setdefault(search.label, []).append(search)
    return [_cost(label, found) for label, found in by_label.items()]


def _cost(label: str, found: list[Search]) -> SearchCost:
    runs = [run for search in found for trial in search.trials for run in trial.runs]
    epochs = [run_cost(run).epochs for run in runs]
    return SearchCost(
        label,
        len(found),
        sum(len(search.trials) for search in found),
        len(runs),
        None if None in epochs else sum(each for each in epochs if each is not None),
    )


def ledger_lines(study: Study) -> Iterator[str]:
    """As `plan` shows them; none for a study without `tune`."""
    tune = study.file.tune
    if tune is None:
        return
    made = ledger(study)
    runs, evaluated = sum(each.runs for each in made), sum(row.run is not None for row in study.rows)
    numbers = len(tune.all_tracks) * len([number for number in tune.trials if number > 1])
    yield (
        f"tuning         {number_of(tune.budget, 'trial')} of each row, sparsity and track on "
        f"{number_of(len(tune.seeds), 'seed')}: {number_of(runs, 'run')}; "
        f"then at most {numbers * _num_pruned(study)} runs of chosen values beside {evaluated} of the study's own"
    )
    for each in made:
        epochs = "?" if each.epochs is None else each.epochs
        searches = f"{each.trials:>7} trials in {each.searches} {'search' if each.searches == 1 else 'searches'}"
        yield f"  {each.label:<18} {each.runs:>5} runs {epochs:>7} epochs {searches}"


def _num_pruned(study: Study) -> int:
    return sum(row.run is not None and not row.run.is_dense for row in study.rows)
