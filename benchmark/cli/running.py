"""Commands that compute or prepare: run, retry, prepare."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UserError
from ..plan import Plan, make_plan
from ..run import Run
from ..settings import Compile, MemoryFormat, Settings, default_jobs
from ..store import Store
from .following import describe_run
from .options import (
    DEFAULT_RESULTS,
    Assignments,
    Only,
    Plugins,
    Results,
    StudyName,
    open_store,
    open_study,
    say,
)
from .reading import find_one

DataRoot = Annotated[
    Path | None, typer.Option("--data-root", envvar="PRUNEBENCH_DATA", metavar="DIR", help="Where data sets lie.")
]


def register(app: typer.Typer) -> None:
    for name, command in {"run": run, "retry": retry, "prepare": prepare}.items():
        app.command(name)(command)


def run(
    study: StudyName,
    assignments: Assignments = None,
    only: Only = None,
    results: Results = DEFAULT_RESULTS,
    plugins: Plugins = None,
    data_root: DataRoot = None,
    jobs: Annotated[int, typer.Option(min=0, help="Runs at once; 0: one a core, or one a GPU.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of one run.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Epochs between checkpoints.")] = 5,
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Also store pruned weights.")] = False,
    deterministic: Annotated[bool, typer.Option("--deterministic", help="Deterministic algorithms on a GPU.")] = False,
    memory_format: Annotated[MemoryFormat, typer.Option(help="auto: channels last for convolutions.")] = "auto",
    compile: Annotated[Compile, typer.Option(help="Mode of torch.compile for the training step.")] = "none",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also runs that failed before.")] = False,
) -> None:
    """Compute what is missing, here. Ctrl-C stops after the running epochs and loses nothing."""
    opened = open_study(study, assignments, only, plugins)
    settings = Settings(
        results=results, data_root=data_root, device=device, threads=threads, checkpoint_every=checkpoint_every,
        keep_weights=keep_weights, deterministic=deterministic, memory_format=memory_format, compile=compile,
        plugins=tuple(str(Path(path).resolve()) for path in plugins or ()),
    )  # fmt: skip
    store = open_store(results)
    made = make_plan(opened.name, opened.runs, store)
    if retry_failed:
        for job in made.jobs:
            store.folder(opened.name, job.run).allow_retry()
        made = make_plan(opened.name, opened.runs, store)
    failed_before = [job for job in made.jobs if job.status.state == "failed" and not job.status.retryable]
    for job in failed_before:
        say(f"failed before: {describe_run(job.run)}: {job.status.reason} (prunebench retry {job.run.id})")
    if not made.to_do:
        say(f"{opened.name}: all {made.count('done')} finished runs are stored; nothing to compute")
        raise typer.Exit(1 if failed_before else 0)
    try:
        endings = _compute(made, opened.name, settings, jobs or default_jobs(device))
    except KeyboardInterrupt:
        say(f"{opened.name}: interrupted; the same command goes on from here")
        raise typer.Exit(130) from None
    _say_starts(made, store)
    num_failed = sum(ending.outcome != "done" for ending in endings) + len(failed_before)
    say(f"{opened.name}: {sum(e.outcome == 'done' for e in endings)} computed, {num_failed} failed")
    raise typer.Exit(1 if num_failed else 0)


def _say_starts(made: Plan, store: Store) -> None:
    """The accuracy that pruning starts from is never left to be looked up: a start from other weights shows here."""
    for job in made.jobs:
        result = store.folder(made.study, job.run).read_result() if job.run.is_dense else None
        if result is not None:
            accuracy = result["accuracy"]["last"]
            say(f"start: {job.run.model} dense, seed {job.run.seed}: test accuracy {accuracy:.2%} ({job.run.id})")


def _compute(made: Plan, study: str, settings: Settings, num_workers: int) -> list[Any]:
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

    from ..local import Listener, run_local

    # A plain kill stops as gently as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=True)
    total = sum(max(1, job.run.recipe.epochs) for job in made.to_do)
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
            step = min(record["epoch"] + 1, run.recipe.epochs) - seen.get(run.id, 0)
            seen[run.id] = seen.get(run.id, 0) + step
            progress.advance(task, step)

        def on_end(run: Run, ending: Any) -> None:
            nonlocal finished
            finished += 1
            progress.advance(task, max(1, run.recipe.epochs) - seen.get(run.id, 0))
            if ending.outcome != "done":
                console.print(
                    f"{ending.outcome}: {describe_run(run)}: {ending.reason}",
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )
            elif not console.is_terminal:
                say(f"[{finished}/{len(made.to_do)}] {describe_run(run)}")

        def on_start() -> None:
            say(f"{study}: {len(made.to_do)} runs to compute, {made.count('done')} are stored")

        listener = Listener(on_start=on_start, on_epoch=on_epoch, on_end=on_end)
        return run_local(made.to_do, study, settings, num_workers, listener)


def retry(
    run_ids: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of failed runs, or beginnings of ids.")],
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Allow failed runs to be computed again; `run` or `submit` then does it."""
    folders = [find_one(results, run_id) for run_id in run_ids]
    for folder in folders:
        state = folder.status()
        if state.state != "failed":
            raise UserError(f"run {folder.path.name} is {state.state}, not failed")
    for folder in folders:
        folder.allow_retry()
        say(f"{folder.path.name}: will be computed again")


def prepare(
    name: Annotated[str, typer.Argument(metavar="DATASET|STUDY", help="A data set, or a study: its data and weights.")],
    archive: Annotated[Path | None, typer.Option("--from", help="An archive or folder fetched by hand.")] = None,
    only_check: Annotated[bool, typer.Option("--check", help="Only check the copy that is there.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Fetch data sets and published weights, once, on a machine with a network; `run` never does."""
    from ...datasets.registry import check, dataset_names
    from ...datasets.registry import prepare as fetch
    from ..study import load_study

    dataset, model, weights = name, "", None
    if name not in dataset_names():
        file = load_study(name).file
        dataset, model, weights = file.dataset.name, file.model.name, file.model.options.get("weights")
    if not only_check:
        say(f"{dataset}: in {fetch(dataset, root=data_root, archive=archive, report=say)}")
        if weights is not None and not Path(weights).exists():
            from ..models.weights import fetch_weights

            say(f"weights: in {fetch_weights(model, weights)}")
    for line in check(dataset, root=data_root):
        print(line)
