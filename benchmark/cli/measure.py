"""The command that measures pairs of retrainings, and what `run` and `submit` do for studies that ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..api.errors import UserError
from ..runs.settings import MAX_THREADS, Settings
from .browse import describe_run
from .options import (
    Selection,
    check_writable,
    data_root_option,
    open_store,
    results_option,
    say,
    selection_options,
    study_argument,
)
from .output import INCOMPLETE, say_damaged

if TYPE_CHECKING:
    from ..runs.store import Store
    from ..studies.load import Study
    from ..studies.pairs import Pair


@click.command
@study_argument
@selection_options
@results_option
@data_root_option
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Pairs at once, each in a process of its own.")
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), default=1, help="CPU threads of one pair.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
def measure(
    study: str, selection: Selection, results: Path, data_root: Path | None, jobs: int, threads: int, device: str
) -> None:
    """Measure how connected and how alike retrainings are, for studies with `measure`; `run` does it at its end.

    What is measured already is kept, so the same command goes on after an interruption. Exits with 3 if pairs are left
    because their runs, or the weights of these, are not stored.
    """
    from ..runs.settings import check_device_name

    check_device_name(device)
    store = open_store(results)
    opened = selection.open_shown(study, store)
    if not opened.file.measure:
        raise UserError(f"study {opened.name!r} measures nothing between its runs: it has no key 'measure'")
    settings = Settings(
        results=results, data_root=data_root, device=device, threads=threads, plugins=selection.plugin_paths(opened)
    )  # fmt: skip
    raise click.exceptions.Exit(measure_study(opened, settings, store, jobs))


def measure_study(study: Study, settings: Settings, store: Store, jobs: int) -> int:
    """Measure what can be measured now, say how it went, and return the exit code."""
    from ..launch.measure_pairs import measure_pairs, pair_states

    found = pair_states(study, store)
    failed: list[str] = []
    if found.ready:
        check_writable(store.root)
        say(f"{study.name}: {len(found.ready)} pairs to measure, {found.measured} are stored")

    def on_end(pair: Pair, reason: str) -> None:
        first, second = pair.runs
        what = f"{describe_run(first, study.labels_of_runs)} with {second.id} retraining {second.retrain_seed}"
        if reason:
            failed.append(reason)
        say(f"not measured: {what}: {reason}" if reason else f"measured: {what}")

    measure_pairs(study, found.ready, settings, jobs, on_end)
    say_damaged(store.damaged, "they are measured again")
    num_without = len(found.without_weights)
    for run in found.without_weights:
        what = describe_run(run, study.labels_of_runs)
        say(f"no weights are stored of {what}: `prunebench run` computes it anew to measure its pairs")
    parts = [f"{found.measured + len(found.ready) - len(failed)} pairs are measured"]
    parts += [f"{len(failed)} failed"] * bool(failed)
    parts += [f"{found.waiting} wait for runs that are not stored"] * bool(found.waiting)
    parts += [f"{num_without} runs have no weights"] * bool(num_without)
    say(f"{study.name}: {', '.join(parts)}")
    return 1 if failed else INCOMPLETE if found.waiting or num_without else 0


def ask_for_weights(study: Study, store: Store) -> None:
    """Stored runs whose weights are not here, and are needed to measure, are to be computed anew."""
    from ..launch.measure_pairs import pair_states
    from ..runs.recompute import ask

    for run in pair_states(study, store).without_weights:
        ask(store.folder(study.name, run))
        say(f"no weights are stored of {describe_run(run, study.labels_of_runs)}: it is computed anew, to be measured")


COMMANDS = (measure,)
