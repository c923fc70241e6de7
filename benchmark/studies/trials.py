"""The trials of a study with `tune`: runs on the tuning seeds, drawn before anything runs.

A search is for one row at one sparsity on one track, and all have the same number of trials. Trial 0 has the study's
own values. Values of learning rate and weight decay are the same for all methods, those of an option the same at all
sparsities, so that the searches differ in the methods alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...datasets.registry import determining
from ...methods.listing.density import mean_density
from ...methods.registry import borrowed_versions, describe
from ..runs.run import DENSE, Run, derive_seed, frozen_options
from .rows import Row
from .schema import StudyFile
from .search_space import Range, Space, draw, read_space
from .tune_schema import Track, TuneFile

SHARED: tuple[str, ...] = ("lr", "weight_decay")
"""Knobs of the recipe that every method has."""


@dataclass(frozen=True)
class Trial:
    """Values to try: keys of the recipe, and options of the method. `runs`: one for each tuning seed.

    `epoch_share`: what an epoch of its own training counts against the study's budget.
    """

    number: int
    train: Mapping[str, Any]
    options: Mapping[str, Any]
    runs: tuple[Run, ...]
    epoch_share: float = 1.0


@dataclass(frozen=True)
class Search:
    """The search for the values of one row at one sparsity.

    Attributes:
        label: of the row with the study's own values.
        rows: the runs that evaluate that row.
        trials: all of them, trial 0 first.
    """

    label: str
    method: str
    sparsity: float
    track: Track
    rows: tuple[Row, ...]
    trials: tuple[Trial, ...]


def searches(file: StudyFile, rows: Sequence[Row]) -> list[Search]:
    """A search for each pruned row, sparsity and track; none for a study without `tune`.

    Rows that are tuned already have none.
    """
    if file.tune is None:
        return []
    cells: dict[tuple[str, float], list[Row]] = {}
    for row in rows:
        if row.run is not None and row.method != DENSE and not row.is_tuned:
            cells.setdefault((row.label, row.sparsity), []).append(row)
    return [
        Search(label, members[0].method, sparsity, track, tuple(members), tuple(_trials(file, members[0], track)))
        for track in file.tune.all_tracks
        for (label, sparsity), members in cells.items()
    ]


def tuned_label(label: str, track: Track, tune: TuneFile) -> str:
    """The label of a row with the values that its search has chosen."""
    where = tune.on and (tune.on.dataset or tune.on.model)
    return f"{label} (tuned on {where.name})" if track == "B" and where else f"{label} (tuned)"


def label_among(search: Search, number: int, tune: TuneFile) -> str:
    """The label of the rows that evaluate what was chosen among the first trials; of one trial, the study's own row."""
    tuned = tuned_label(search.label, search.track, tune)
    return {1: search.label, tune.budget: tuned}.get(number, f"{tuned}, best of {number}")


def evaluations(search: Search, trial: Trial, label: str) -> Iterator[Row]:
    """The rows of a search with the values of a trial in place of the study's own."""
    for row in search.rows:
        assert row.run is not None
        yield replace(
            row, label=label, run=_with_values(row.run, trial.train, trial.options), is_tuned=True,
            epoch_share=trial.epoch_share,
        )  # fmt: skip


def named_rows(file: StudyFile, rows: Sequence[Row]) -> list[Row]:
    """All rows that a study shows, tuned ones with the runs of the study's own values: for the names in claims."""
    tune = file.tune
    if tune is None:
        return list(rows)
    own = [row for row in rows if not row.is_tuned]
    pruned = [row for row in own if row.run is not None and row.method != DENSE]
    tuned = [replace(row, label=tuned_label(row.label, track, tune)) for track in tune.all_tracks for row in pruned]
    return [*own, *tuned]


def space_of(tune: TuneFile, row: Row) -> dict[str, Space]:
    """The values to try for each option of a row: the study's for its label or method, or those the method declares.

    What the row itself sets is what it is, so it is not searched for.
    """
    declared = {option: read_space(values) for option, values in describe(row.method).search_space.items()}
    space = tune.spaces.get(row.label, tune.spaces.get(row.method, declared))
    return {option: values for option, values in space.items() if option not in dict(row.options)}


def shared_space(file: StudyFile) -> dict[str, Space]:
    """The values of learning rate and weight decay, the same for all methods."""
    assert file.tune is not None
    lr = file.override.lr or file.train.lr or 0.1
    given = file.tune.train
    return {
        "lr": given.lr or Range(lr / 30, 3 * lr, log=True),
        "weight_decay": given.weight_decay or Range(1e-5, 1e-2, log=True),
    }


def is_whole(method: str, option: str) -> bool:
    """Whether an option takes whole numbers only."""
    return "float" not in describe(method).options[option].annotation


def _trials(file: StudyFile, row: Row, track: Track) -> Iterator[Trial]:
    tune = file.tune
    assert tune is not None
    assert row.run is not None
    space, shared = space_of(tune, row), shared_space(file)
    place = _other_place(file) if track == "B" else {}
    for number in range(tune.budget):
        train, options = dict[str, Any](), dict[str, Any]()
        if number > 0:
            train = {name: draw(shared[name], _share(tune, name, number), False) for name in SHARED}
            options = {
                name: draw(each, _share(tune, f"{row.method}.{name}", number), is_whole(row.method, name))
                for name, each in space.items()
            }
        changed = _with_values(row.run, train, options)
        share = _epoch_share(file, row, options)
        yield Trial(number, train, options, tuple(_tried(changed, seed, place) for seed in tune.seeds), share)


def _epoch_share(file: StudyFile, row: Row, options: Mapping[str, Any]) -> float:
    """That of the row; where density tells it, that of the density with these options."""
    if file.budget is None or file.budget.unit == "epochs":
        return row.epoch_share
    info, own = describe(row.method), dict(row.options)
    if mean_density(info, row.sparsity, own) != row.epoch_share:
        # the entry gives it
        return row.epoch_share
    share = mean_density(info, row.sparsity, {**own, **options})
    return row.epoch_share if share is None else share


def _share(tune: TuneFile, name: str, number: int) -> float:
    """From 0 up to 1, independent for each knob and trial."""
    return derive_seed(tune.search_seed, "trial", name, number) / 2**63


def _with_values(run: Run, train: Mapping[str, Any], options: Mapping[str, Any]) -> Run:
    """The run with other values; an option with its default is left out, as in any other run."""
    known = describe(run.method).options
    merged = {**dict(run.method_options), **options}
    given = {name: value for name, value in merged.items() if value != known[name].default}
    return replace(
        run,
        recipe=replace(run.recipe, **train),
        method_options=frozen_options(given),
        borrowed_versions=borrowed_versions(run.method, merged),
    )


def _tried(run: Run, seed: int, place: Mapping[str, Any]) -> Run:
    """The run of a trial on one tuning seed; its dense training is of that seed too."""
    parent = None if run.parent is None else replace(run.parent, seed=seed, **place)
    return replace(run, seed=seed, retrain_seed=0, parent=parent, **place)


def _other_place(file: StudyFile) -> dict[str, Any]:
    """Fields of the runs of track B: its data and network."""
    other = other_file(file)
    data, model = other.dataset, other.model
    found: dict[str, Any] = {
        "dataset": data.name, "dataset_options": frozen_options(determining(data.name, data.options)),
    }  # fmt: skip
    if file.tune is not None and file.tune.on is not None and file.tune.on.model is not None:
        found |= {"model": model.name, "model_options": frozen_options(model.options)}
    return found


def other_file(file: StudyFile) -> StudyFile:
    """The study on the data and the network of track B."""
    on = file.tune.on if file.tune is not None else None
    assert on is not None
    return file.model_copy(update={"dataset": on.dataset or file.dataset, "model": on.model or file.model})


def runs_of(found: Iterable[Search]) -> list[Run]:
    """All runs of all trials, each once."""
    runs = (run for search in found for trial in search.trials for run in trial.runs)
    return list({run.id: run for run in runs}.values())
