"""Commands that compute or prepare: run, retry, prepare."""

from __future__ import annotations

import contextlib
import shlex
import signal
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ..analysis.plain_text import one_line
from ..api.errors import UserError
from ..launch.recorded_starts import lines_after, lines_before, recorded_starts
from ..launch.time_limit import TimeLimit
from ..runs.gpus import default_jobs
from ..runs.leftovers import remove_caches, tidy
from ..runs.settings import MAX_THREADS, Compile, CudaGraph, Log, MemoryFormat, Settings, check_device_name
from ..runs.store import Store
from ..studies.plan import Plan, make_plan
from .browse import describe_run, find_one
from .measure import ask_for_weights, measure_study
from .options import (
    DEFAULT_RESULTS,
    Selection,
    ask_without_weights,
    check_writable,
    data_root_option,
    open_store,
    results_option,
    say,
    say_older,
    selection_options,
    set_damaged_files_aside,
    study_argument,
)
from .output import INCOMPLETE
from .time_limit import open_limit, say_left, time_limit_option

if TYPE_CHECKING:
    from ..studies.load import Study
    from .progress import ShownAccuracy


def _device_name(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    check_device_name(name)
    return name


@click.command
@study_argument
@selection_options
@results_option
@data_root_option
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Runs at once; 0: one a core, or one a GPU.")
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), default=1, help="CPU threads of one run.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.", callback=_device_name)
@click.option("--checkpoint-every", type=click.IntRange(min=1), default=5, help="Epochs between checkpoints.")
@click.option("--keep-weights", is_flag=True, help="Also store pruned weights.")
@click.option("--deterministic", is_flag=True, help="Deterministic algorithms on a GPU.")
@click.option(
    "--memory-format", type=click.Choice(get_args(MemoryFormat)), default="auto",
    help="auto: channels last for convolutions.",
)  # fmt: skip
@click.option(
    "--compile", type=click.Choice(get_args(Compile)), default="none",
    help="Mode of torch.compile for the training step.",
)  # fmt: skip
@click.option(
    "--cuda-graph", type=click.Choice(get_args(CudaGraph)), default="off",
    help="auto: replay training steps as CUDA graphs where possible.",
)  # fmt: skip
@click.option(
    "--log", type=click.Choice(get_args(Log)), default="none",
    help="Also write curves, density and configuration to RESULTS/STUDY/LOG; wandb offline.",
)  # fmt: skip
@time_limit_option
@click.option("--retry-failed", is_flag=True, help="Also runs that failed before.")
@click.option(
    "--recompute", is_flag=True,
    help="Also stored runs of older code, weights or dense trainings; with --keep-weights those without weights.",
)  # fmt: skip
def run(
    study: str,
    selection: Selection,
    results: Path,
    data_root: Path | None,
    jobs: int,
    threads: int,
    device: str,
    checkpoint_every: int,
    keep_weights: bool,
    deterministic: bool,
    memory_format: MemoryFormat,
    compile: Compile,
    cuda_graph: CudaGraph,
    log: Log,
    time_limit: int | None,
    retry_failed: bool,
    recompute: bool,
) -> None:
    """Compute missing runs here, then measure their pairs if the study asks for it.

    Of a study with `tune` the trials first, then what is chosen of them.

    Ctrl-C stops after the running epochs and loses nothing.

    Exits with 3 if --time-limit left runs; the same command continues with them.
    """
    from ..training.epoch_log import check_log
    from .tuning import run_stages

    begin = time.monotonic()
    check_log(log)
    opened = selection.open(study)
    settings = Settings(
        results=results, data_root=data_root, device=device, threads=threads, checkpoint_every=checkpoint_every,
        keep_weights=keep_weights or bool(opened.file.measure), deterministic=deterministic,
        memory_format=memory_format, compile=compile, cuda_graph=cuda_graph,
        plugins=selection.plugin_paths(opened), log=log,
    )  # fmt: skip
    asked = Asked(settings, jobs or default_jobs(device), begin, time_limit, retry_failed, recompute)
    code = run_stages(opened, asked) if opened.file.tune else compute_study(opened, asked)
    raise click.exceptions.Exit(code)


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


@click.command
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@results_option
def retry(run_ids: tuple[str, ...], results: Path) -> None:
    """Allow failed runs to be computed again; `run` or `submit` then computes them.

    RUN is the id of a failed run, or its beginning; STUDY/RUN if two studies have the same run.
    """
    folders = [find_one(results, run_id) for run_id in run_ids]
    for folder in folders:
        state = folder.status()
        if state.state != "failed":
            raise UserError(f"run {folder.path.name} is {state.state}, not failed")
    for folder in folders:
        folder.allow_retry()
        say(f"{folder.path.name}: will be computed again")


@click.command
@click.argument("name", metavar="DATASET|STUDY")
@click.option(
    "--from", "archive", type=click.Path(path_type=Path), metavar="PATH", help="An archive or folder fetched by hand."
)
@click.option("--check", "only_check", is_flag=True, help="Only check the copy that is there.")
@data_root_option
def prepare(name: str, archive: Path | None, only_check: bool, data_root: Path | None) -> None:
    """Fetch data sets and published weights, once, on a machine with a network; `run` never does.

    For a study, its data and its weights.
    """
    from ...datasets.registry import OWN, check, dataset_names
    from ...datasets.registry import prepare as fetch
    from ..studies.load import load_study
    from ..studies.names import Named
    from ..tuning.stages import datasets_of, models_of

    if name in OWN:
        raise UserError(f"data set {name!r} needs options; give the study that sets them")
    datasets, models = [Named(name=name)], list[Named]()
    if name not in dataset_names():
        study = load_study(name)
        datasets, models = datasets_of(study), models_of(study)
    for dataset in datasets if not only_check else ():
        where = fetch(dataset.name, root=data_root, archive=archive, report=say, **dataset.options)
        say(f"{dataset.name}: in {where}")
    for model in models if not only_check else ():
        weights = model.options.get("weights")
        if weights is not None and not Path(weights).exists():
            from ..models.weights import fetch_weights

            say(f"weights: in {fetch_weights(model.name, weights)}")
    for dataset in datasets:
        for line in check(dataset.name, root=data_root, **dataset.options):
            print(line)


COMMANDS = (prepare, run, retry)
