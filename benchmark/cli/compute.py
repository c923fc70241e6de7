"""Commands that compute or prepare: run, retry, prepare."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click

from ..analysis.plain_text import one_line
from ..api.errors import UserError
from ..launch.recorded_starts import lines_after, lines_before, recorded_starts
from ..launch.time_limit import TimeLimit
from ..runs.damage import tidy
from ..runs.index import remove_temporaries
from ..runs.run import Run
from ..runs.settings import MAX_THREADS, Compile, MemoryFormat, Settings, check_device_name, default_jobs
from ..runs.store import Store
from ..studies.plan import Plan, make_plan
from ..studies.run_cost import planned_epochs
from .browse import find_one
from .follow import describe_run
from .options import (
    Selection,
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
@time_limit_option
@click.option("--retry-failed", is_flag=True, help="Also runs that failed before.")
@click.option("--recompute", is_flag=True, help="Also stored runs of older code, weights or dense trainings.")
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
    time_limit: int | None,
    retry_failed: bool,
    recompute: bool,
) -> None:
    """Compute what is missing, here. Ctrl-C stops after the running epochs and loses nothing.

    Leaves with 3 where --time-limit has left runs over; the same command goes on with them.
    """
    begin = time.monotonic()
    opened = selection.open(study)
    settings = Settings(
        results=results, data_root=data_root, device=device, threads=threads, checkpoint_every=checkpoint_every,
        keep_weights=keep_weights, deterministic=deterministic, memory_format=memory_format, compile=compile,
        plugins=selection.plugin_paths,
    )  # fmt: skip
    store = open_store(results)
    if recompute or retry_failed or not results.is_dir():
        check_writable(results)
    say_older(opened.name, opened.runs, store, recompute)
    set_damaged_files_aside(opened.name, opened.runs, store)
    made = make_plan(opened.name, opened.runs, store)
    if retry_failed:
        for job in made.jobs:
            store.folder(opened.name, job.run).allow_retry()
        made = make_plan(opened.name, opened.runs, store)
    for job in made.jobs:
        if job.status.state == "done":
            # leftovers are harmless where they cannot be removed
            with contextlib.suppress(OSError):
                tidy(store.folder(opened.name, job.run))
    for place in (store.root, store.study_folder(opened.name)):
        remove_temporaries(place)
    failed_before = [job for job in made.jobs if job.status.state == "failed" and not job.status.retryable]
    for job in failed_before:
        say(f"failed before: {describe_run(job.run)}: {job.status.reason} (prunebench retry {job.run.id})")
    if not made.to_do:
        say(f"{opened.name}: all {made.count('done')} finished runs are stored; nothing to compute")
        raise click.exceptions.Exit(1 if failed_before else 0)
    check_writable(results)
    recorded = recorded_starts(made, store)
    for line in lines_before(made, recorded):
        say(line)
    limit = None if time_limit is None else open_limit(time_limit, begin, made, store)
    try:
        with _gentle_kill():
            endings = _compute(made, opened.name, settings, jobs or default_jobs(device), limit)
    except KeyboardInterrupt:
        say(f"{opened.name}: interrupted; the same command goes on from here")
        raise click.exceptions.Exit(130) from None
    _say_starts(made, store)
    for line in lines_after(opened.name, recorded, store):
        say(line)
    counts = Counter(ending.outcome for ending in endings)
    num_done, stopped = counts["done"], counts["interrupted"] if limit is not None and limit.is_over() else 0
    num_failed = len(endings) - num_done - counts["blocked"] - stopped + len(failed_before)
    parts = [f"{counts['blocked']} blocked"] * bool(counts["blocked"])
    parts += [f"{stopped} stopped with a checkpoint"] * bool(stopped)
    say(f"{opened.name}: {', '.join([f'{num_done} computed', f'{num_failed} failed', *parts])}")
    if limit is not None and say_left(limit, made, store):
        raise click.exceptions.Exit(1 if num_failed or counts["blocked"] else INCOMPLETE)
    raise click.exceptions.Exit(1 if failed_before or num_done < len(made.to_do) else 0)


def _say_starts(made: Plan, store: Store) -> None:
    """The accuracy that pruning starts from is never left to be looked up: a start from other weights shows here."""
    for job in made.jobs:
        result = store.result(made.study, job.run) if job.run.is_dense else None
        if result is not None:
            accuracy = result["accuracy"]["last"]
            say(f"start: {job.run.model} dense, seed {job.run.seed}: test accuracy {accuracy:.2%} ({job.run.id})")


@contextlib.contextmanager
def _gentle_kill() -> Iterator[None]:
    """A plain kill stops as gently as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _compute(made: Plan, study: str, settings: Settings, num_workers: int, limit: TimeLimit | None = None) -> list[Any]:
    """Run with a progress bar on a terminal, with a line for each finished run elsewhere."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from ..launch.local import Listener, run_local

    console = Console(stderr=True)
    total = sum(planned_epochs(job.run) for job in made.to_do)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("epochs", total=total)
        seen: dict[str, int] = {}
        finished = 0

        def on_epoch(run: Run, record: dict[str, Any]) -> None:
            # every round counts its epochs from the beginning, or from the one that it rewinds to
            if seen.get(run.id, 0) < planned_epochs(run):
                seen[run.id] = seen.get(run.id, 0) + 1
                progress.advance(task)

        def on_end(run: Run, ending: Any) -> None:
            nonlocal finished
            finished += 1
            progress.advance(task, planned_epochs(run) - seen.get(run.id, 0))
            if ending.outcome != "done":
                console.print(
                    one_line(f"{ending.outcome}: {describe_run(run)}: {ending.reason}"),
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )
            elif not console.is_terminal:
                say(f"[{finished}/{len(made.to_do)}] {describe_run(run)}")

        told: set[str] = set()

        def on_busy(run: Run) -> None:
            text = _who_is_waited_for(run, Store(settings.results).folder(study, run).path)
            if text is not None and text not in told:
                told.add(text)
                console.print(text, markup=False, highlight=False, soft_wrap=True)

        def on_start() -> None:
            say(f"{study}: {len(made.to_do)} runs to compute, {made.count('done')} are stored")

        def on_stop(reason: str, num_left: int) -> None:
            say(f"{study}: stopped, {num_left} runs are left: {reason}")

        listener = Listener(
            on_start=on_start, on_epoch=on_epoch, on_end=on_end, on_busy=on_busy, on_line=say, on_stop=on_stop
        )
        return run_local(made.to_do, study, settings, num_workers, listener, limit)


def _who_is_waited_for(run: Run, folder: Path) -> str | None:
    """A process that hangs keeps its run for ever, so the user is told which one it is."""
    from ..runs.claim import describe, holder, how_to_end

    held = holder(folder)
    if not held:
        return None
    return f"waiting: {describe_run(run)} is computed by {describe(held)}; if that hangs, end it: {how_to_end(held)}"


@click.command
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@results_option
def retry(run_ids: tuple[str, ...], results: Path) -> None:
    """Allow failed runs to be computed again; `run` or `submit` then does it.

    RUN is the id of a failed run, or its beginning; STUDY/RUN where two studies have the same run.
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

    Of a study, its data and its weights.
    """
    from ...datasets.registry import OWN, check, dataset_names
    from ...datasets.registry import prepare as fetch
    from ..studies.load import load_study

    dataset, options, model, weights = name, {}, "", None
    if name in OWN:
        raise UserError(f"data set {name!r} is known by its options only; give the study that names them")
    if name not in dataset_names():
        file = load_study(name).file
        dataset, options = file.dataset.name, file.dataset.options
        model, weights = file.model.name, file.model.options.get("weights")
    if not only_check:
        say(f"{dataset}: in {fetch(dataset, root=data_root, archive=archive, report=say, **options)}")
        if weights is not None and not Path(weights).exists():
            from ..models.weights import fetch_weights

            say(f"weights: in {fetch_weights(model, weights)}")
    for line in check(dataset, root=data_root, **options):
        print(line)


COMMANDS = (prepare, run, retry)
