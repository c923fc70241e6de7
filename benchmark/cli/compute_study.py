"""What `run` does with a study or a stage of it: compute what is missing, and say how that went."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..analysis.plain_text import one_line
from ..launch.recorded_starts import lines_after, lines_before, recorded_starts
from ..launch.time_limit import TimeLimit
from ..runs.leftovers import remove_caches, tidy
from ..runs.settings import Settings
from ..runs.store import Store
from ..studies.plan import Plan, make_plan
from .browse import describe_run
from .measure import ask_for_weights, measure_study
from .options import (
    DEFAULT_RESULTS,
    ask_without_weights,
    check_writable,
    open_store,
    say,
    say_older,
    set_damaged_files_aside,
)
from .output import INCOMPLETE
from .time_limit import open_limit, say_left

if TYPE_CHECKING:
    from ..studies.load import Study
    from .progress import ShownAccuracy


@dataclass(frozen=True)
class Asked:
    """What a user asks of `run` besides the study; `begin` is when the command started."""

    settings: Settings
    num_jobs: int
    begin: float
    time_limit: int | None
    retry_failed: bool
    recompute: bool


def compute_study(
    opened: Study, asked: Asked, unchecked: Collection[str] = (), shown_accuracy: ShownAccuracy = "test"
) -> int:
    """Compute the missing runs of a study, then measure its pairs. Returns the exit code.

    `unchecked` and `shown_accuracy` are as for `progress.compute`.
    """
    from .progress import compute

    settings, results, num_jobs = asked.settings, asked.settings.results, asked.num_jobs
    store = open_store(results)
    if asked.recompute or asked.retry_failed or not results.is_dir():
        check_writable(results)
    say_older(opened.name, opened.runs, store, asked.recompute)
    if asked.recompute and settings.keep_weights:
        ask_without_weights(opened.name, opened.runs, store)
    set_damaged_files_aside(opened.name, opened.runs, store)
    if opened.file.measure:
        ask_for_weights(opened, store)
    made = make_plan(opened.name, opened.runs, store)
    if asked.retry_failed:
        for job in made.jobs:
            store.folder(opened.name, job.run).allow_retry()
        made = make_plan(opened.name, opened.runs, store)
    _tidy_stored(made, store)
    failed_before = _say_failed_before(made, opened.labels_of_runs)
    if not made.to_do:
        say(f"{opened.name}: all {made.count('done')} finished runs are stored; nothing to compute")
        _say_what_helps(made, store)
        code = measure_study(opened, settings, store, num_jobs) if opened.file.measure else 0
        return 1 if failed_before else code
    check_writable(results)
    recorded = recorded_starts(made, store)
    for line in lines_before(made, recorded):
        say(line)
    limit = None if asked.time_limit is None else open_limit(asked.time_limit, asked.begin, made, store)
    try:
        with _gentle_kill():
            endings = compute(made, settings, num_jobs, limit, unchecked, shown_accuracy, opened.labels_of_runs)
    except KeyboardInterrupt:
        say(f"{opened.name}: interrupted; the same command continues from here")
        raise click.exceptions.Exit(130) from None
    if shown_accuracy == "test":
        _say_starts(made, store)
    if settings.log != "none":
        say(f"curves: {store.study_folder(opened.name) / settings.log}")
    for line in lines_after(opened.name, recorded, store):
        say(line)
    code = _say_endings(made, store, endings, failed_before, limit)
    _say_what_helps(made, store)
    if opened.file.measure and (limit is None or not limit.is_over()):
        measured = measure_study(opened, settings, store, num_jobs)
        code = code or measured
    _say_controls(opened, store)
    return code


def _say_controls(study: Study, store: Store) -> None:
    """Whether the row in question beats its controls, of a study that names them."""
    if study.file.controls is not None:
        from ..analysis.against_controls import controls_sentence
        from ..analysis.study_results import read_results

        if told := controls_sentence(read_results(study, store)):
            say(told)


def _tidy_stored(made: Plan, store: Store) -> None:
    for job in made.jobs:
        if job.status.state == "done":
            # leftovers are harmless where they cannot be removed
            with contextlib.suppress(OSError):
                tidy(store.folder(made.study, job.run))
    for place in (store.root, store.study_folder(made.study)):
        remove_caches(place)


def _say_failed_before(made: Plan, labels: Mapping[str, str]) -> int:
    """Name the runs that failed by their own fault and are not computed again; return their number."""
    failed = [job for job in made.jobs if job.status.state == "failed" and not job.status.retryable]
    for job in failed:
        say(f"failed before: {describe_run(job.run, labels)}: {one_line(job.status.reason)} ")
    return len(failed)


def _say_endings(made: Plan, store: Store, endings: Sequence[Any], failed_before: int, limit: TimeLimit | None) -> int:
    """Say how many runs ended how, and what a time limit left; return the exit code."""
    counts = Counter(ending.outcome for ending in endings)
    num_done, stopped = counts["done"], counts["interrupted"] if limit is not None and limit.is_over() else 0
    num_failed = len(endings) - num_done - counts["blocked"] - stopped + failed_before
    parts = [f"{counts['blocked']} blocked"] * bool(counts["blocked"])
    parts += [f"{stopped} stopped with a checkpoint"] * bool(stopped)
    say(f"{made.study}: {', '.join([f'{num_done} computed', f'{num_failed} failed', *parts])}")
    if limit is not None and say_left(limit, made, store):
        return 1 if num_failed or counts["blocked"] else INCOMPLETE
    return 1 if failed_before or num_done < len(made.to_do) else 0


def _say_what_helps(made: Plan, store: Store) -> None:
    """After a failure: where its traceback is, and what computes the run again."""
    states = {job.run.id: store.status(made.study, job.run) for job in made.jobs}
    failed = {run_id: state for run_id, state in states.items() if state.state == "failed"}
    if not failed:
        return
    others = f" ({len(failed)} runs failed)" if len(failed) > 1 else ""
    where = [] if store.root == DEFAULT_RESULTS else ["--results", str(store.root)]
    needs = any(not state.retryable for state in failed.values())
    say(f"why: prunebench logs {shlex.join([next(iter(failed)), *where])}{others}")
    say(f"again: the same command{' with --retry-failed' if needs else ''}")


def _say_starts(made: Plan, store: Store) -> None:
    """Say the dense accuracy that pruning starts from: a start from other weights shows here."""
    for job in made.jobs:
        result = store.result(made.study, job.run) if job.run.is_dense else None
        if result is not None:
            accuracy = result["accuracy"]["last"]
            say(f"start: {job.run.model} dense, seed {job.run.seed}: test accuracy {accuracy:.2%} ({job.run.id})")


@contextlib.contextmanager
def _gentle_kill() -> Iterator[None]:
    """SIGTERM stops runs as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
