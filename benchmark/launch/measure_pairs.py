"""Measure the pairs of a study on this machine, several at once, each stored when it is done. Loads no torch here."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...datasets.parts.roots import data_root, reading_from
from ..api.errors import Damaged, UserError
from ..runs.pair_files import has_weights, pair_path, read_pair, write_pair
from ..runs.recompute import is_done
from ..runs.run import Run
from ..runs.settings import Settings, absolute
from ..runs.store import Store
from ..studies.load import Study
from ..studies.pairs import Pair, pairs_of

Runs = tuple[Run, Run]


@dataclass(frozen=True)
class PairStates:
    """The pairs of a study by what is to be done.

    Attributes:
        measured: number of pairs that are stored and valid.
        ready: both runs are stored with their weights.
        without_weights: stored runs whose weights are not here, of pairs that are to be measured.
        waiting: number of pairs of which a run is not stored.
    """

    measured: int
    ready: tuple[Pair, ...]
    without_weights: tuple[Run, ...]
    waiting: int


def pair_states(study: Study, store: Store) -> PairStates:
    """Look every pair up. Damaged files are noted in the store, and their pairs measured again."""
    measured, waiting = 0, 0
    ready: list[Pair] = []
    missing: dict[str, Run] = {}
    for pair in pairs_of(study.rows):
        if _is_measured(study, pair, store):
            measured += 1
        elif not all(is_done(store.folder(study.name, run)) for run in pair.runs):
            waiting += 1
        elif lacking := [run for run in pair.runs if not has_weights(store.folder(study.name, run))]:
            missing |= {run.id: run for run in lacking}
        else:
            ready.append(pair)
    return PairStates(measured, tuple(ready), tuple(missing.values()), waiting)


def _is_measured(study: Study, pair: Pair, store: Store) -> bool:
    first, second = (store.folder(study.name, run) for run in pair.runs)
    try:
        found = read_pair(pair_path(store.root, study.name, pair.name), (first, second), list(study.file.measure))
    except Damaged as error:
        store.note(error)
        return False
    return found is not None


def measure_pairs(
    study: Study, pairs: Sequence[Pair], settings: Settings, jobs: int, on_end: Callable[[Pair, str], None]
) -> None:
    """Measure and store pairs; `on_end(pair, reason)` is called after each, with why it could not be measured, or ''.

    With several jobs each is a process of its own, which loads torch and the data once.
    """
    settings = absolute(settings)
    measure = tuple(study.file.measure)
    work = partial(_measure, study=study.name, settings=settings, measure=measure)
    for pair, found in _results(work, pairs, settings, min(jobs, len(pairs))):
        if isinstance(found, UserError):
            on_end(pair, str(found))
            continue
        write_pair(pair_path(settings.results, study.name, pair.name), found)
        on_end(pair, "")


def _results(
    work: Callable[[Runs], Any], pairs: Sequence[Pair], settings: Settings, jobs: int
) -> Iterator[tuple[Pair, dict[str, Any] | UserError]]:
    """Pairs in the order in which they are done."""
    if jobs <= 1:
        yield from ((pair, work(pair.runs)) for pair in pairs)
        return
    processes = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, processes, initializer=_add_plugins, initargs=(settings.plugins,)) as pool:
        futures = {pool.submit(work, pair.runs): pair for pair in pairs}
        try:
            yield from ((futures[future], future.result()) for future in as_completed(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _add_plugins(paths: Sequence[str]) -> None:
    from ..runs.plugins import add_plugin

    for path in paths:
        add_plugin(path)


def _measure(runs: Runs, study: str, settings: Settings, measure: Sequence[str]) -> dict[str, Any] | UserError:
    """What the user can fix is returned, so that the other pairs go on."""
    from ..training.measure_pair import measure_pair

    try:
        with reading_from(data_root(settings.data_root)):
            return measure_pair(runs, study, settings, measure)
    except UserError as error:
        return error
