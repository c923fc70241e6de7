"""Commands that compute or prepare: run, retry, prepare."""

from __future__ import annotations

import time
from pathlib import Path
from typing import get_args

import click

from ..api.errors import UserError
from ..runs.gpus import default_jobs
from ..runs.settings import MAX_THREADS, Compile, CudaGraph, Log, MemoryFormat, Settings, check_device_name
from .browse import find_one
from .compute_study import Asked, compute_study
from .options import (
    Selection,
    data_root_option,
    results_option,
    say,
    selection_options,
    study_argument,
)
from .time_limit import time_limit_option


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
