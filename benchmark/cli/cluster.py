"""Commands for clusters: submit, cancel, clean."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from ...datasets.parts.roots import ENVIRONMENT_VARIABLE, reading_from
from ..api.errors import UserError
from ..runs.settings import Log, Settings
from ..runs.store import Store
from .measure import ask_for_weights
from .options import (
    DEFAULT_RESULTS,
    Selection,
    ask_without_weights,
    check_writable,
    results_option,
    say,
    say_older,
    selection_options,
    set_damaged_files_aside,
    study_argument,
)
from .output import SUBMIT_ANEW, say_damaged
from .planned_jobs import print_planned

if TYPE_CHECKING:
    from ...slurm.select_runs import Choice
    from ..runs.run import Run
    from ..studies.names import Named


@click.command
@study_argument
@click.option(
    "--profile", required=True, metavar="P", help="Name of a profile of the suite, or a YAML file of your own."
)
@click.option("--dry-run", is_flag=True, help="Print batch scripts, which job computes which run, and totals.")
@selection_options
@results_option
# Without the environment variable, which jobs inherit anyway: the profile's environment must be able to replace it.
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where data sets are on the nodes.")
@click.option("--data-check/--no-data-check", default=True, help="Check first that data and weights are there.")
@click.option("--keep-weights", is_flag=True, help="Also store pruned weights.")
@click.option("--deterministic", is_flag=True, help="Deterministic algorithms on a GPU.")
@click.option("--log", type=click.Choice(get_args(Log)), help="As in `run`; replaces the profile's.")
@click.option(
    "--recompute", is_flag=True,
    help="Also stored runs of older code, weights or dense trainings; with --keep-weights those without weights.",
)  # fmt: skip
def submit(
    study: str,
    profile: str,
    dry_run: bool,
    selection: Selection,
    results: Path,
    data_root: Path | None,
    data_check: bool,
    keep_weights: bool,
    deterministic: bool,
    log: Log | None,
    recompute: bool,
) -> None:
    """Queue missing runs on a SLURM cluster and return at once; `status` shows how they go."""
    from ...slurm import select_runs as choices
    from ...slurm import submit as submission
    from ...slurm.cluster_profile import load_profile
    from ...slurm.paths import check_path
    from ...slurm.turn import submitting
    from ..preflight.rehearsal import rehearse
    from ..training.epoch_log import check_log
    from ..tuning.stages import datasets_of, unchecked_trials
    from .tuning import ready_stage

    chosen = load_profile(profile)
    check_log(log or chosen.log)
    where = data_root or chosen.environment.get(ENVIRONMENT_VARIABLE)
    if where is not None:
        click.get_current_context().with_resource(reading_from(where))
    opened = selection.open(study)
    settings = Settings(
        results=check_path(results),
        data_root=data_root.absolute() if data_root else None,
        device=chosen.device,
        threads=chosen.threads,
        checkpoint_every=chosen.checkpoint_every,
        memory_format=chosen.memory_format,
        compile=chosen.compile,
        log=log or chosen.log,
        cuda_graph=chosen.cuda_graph,
        keep_weights=keep_weights or bool(opened.file.measure),
        deterministic=deterministic,
        plugins=selection.plugin_paths(opened),
    )
    if dry_run and recompute:
        raise UserError("--recompute cannot be combined with --dry-run: it marks runs in the results folder")
    if chosen.is_on_cpu:
        _check_precisions(opened.runs)
    unchecked = unchecked_trials(opened)
    if dry_run:
        ready, _ = ready_stage(opened, Store(settings.results), is_frozen=False)
        found = choices.choose_for(opened.name, ready.runs, settings.results, needs_queue=False)
        rehearse([run for run in found.runs if run.id not in unchecked], reads_weights=False)
        print_planned(ready, submission.dry_run(opened.name, found, settings, chosen), chosen)
        return
    _check_networks(opened.runs)
    if data_check:
        for dataset in datasets_of(opened):
            _check_data(dataset, where)
    check_writable(results)
    with submitting(settings.results) as turn:
        opened, afterwards = ready_stage(opened, Store(settings.results))
        say_older(opened.name, opened.runs, Store(settings.results), recompute)
        if recompute and keep_weights:
            ask_without_weights(opened.name, opened.runs, Store(settings.results))
        set_damaged_files_aside(opened.name, opened.runs, Store(settings.results))
        if opened.file.measure:
            ask_for_weights(opened, Store(settings.results))
        found = choices.choose_for(opened.name, opened.runs, settings.results)
        say_damaged(found.damaged, SUBMIT_ANEW)
        _explain(opened.name, found)
        # only the profile's environment may say where weights are
        checked = [run for run in found.runs if run.id not in unchecked]
        rehearse(checked, reads_weights=data_check and "TORCH_HOME" not in chosen.environment)
        if found.runs:
            sent = submission.submit(opened.name, found, settings, chosen, turn, say)
            say(f"submitted {len(found.runs)} runs as {sent.num_jobs} jobs: {', '.join(sent.arrays)} [{sent.folder}]")
            where = [study] if results == DEFAULT_RESULTS else [study, "--results", str(results)]
            which = _spelled({"--set": selection.assignments, "--only": selection.only, "--plugin": selection.plugins})
            say(f"follow with: prunebench status {shlex.join([*where, *which])}")
            say(f"cancel with: prunebench cancel {shlex.join(where)}")
            if opened.file.measure:
                say(f"measure afterwards with: prunebench measure {shlex.join([*where, *which])}")
        if afterwards:
            say(f"{opened.name}: {afterwards}")
    raise click.exceptions.Exit(1 if found.left_out else 0)


def _spelled(options: Mapping[str, Sequence[str]]) -> list[str]:
    return [word for option, values in options.items() for value in values for word in (option, value)]


def _check_data(dataset: Named, root: Path | str | None) -> None:
    """Compute nodes have no network: report missing data now, not in a thousand failed jobs."""
    from ...datasets.registry import check

    check(dataset.name, root=root, **dataset.options)


def _check_networks(runs: Sequence[Run]) -> None:
    """Refuse a layer that a method cannot prune here, not in each job."""
    from ..preflight.networks import sizes_by_network, warnings

    for line in warnings(sizes_by_network(runs)):
        say(line)


def _check_precisions(runs: Sequence[Run]) -> None:
    import torch

    from ..training.precision import check_precisions

    check_precisions([run.recipe.precision for run in runs], torch.device("cpu"))


def _explain(study: str, found: Choice) -> None:
    """Say what is not submitted, and why."""
    for line in found.left_out:
        say(f"not submitted: {line}")
    if found.left_out:
        say("why: prunebench logs RUN; prunebench retry RUN... allows failed runs again")
    if found.num_active:
        say(f"{study}: {found.num_active} runs are queued or running")
    if not found.runs:
        say(f"{study}: nothing to submit")


@click.command
@study_argument
@results_option
def cancel(study: str, results: Path) -> None:
    """Cancel this study's jobs and no others. Stored results stay; `submit` continues from them."""
    from ...slurm.cancel import cancel as cancel_jobs

    store = Store(results)
    cancelled = cancel_jobs(_name_of(study), results, store.note)
    say_damaged(store.damaged, SUBMIT_ANEW)
    if cancelled.num_jobs:
        say(f"cancelled {cancelled.num_jobs} jobs: {', '.join(cancelled.arrays)}")
    else:
        say("no job of this study is in the queue")


@click.command
@study_argument
@results_option
def clean(study: str, results: Path) -> None:
    """Remove logs and pickles of finished submissions. Results stay."""
    from ...slurm.cancel import clean as clean_submissions

    store = Store(results)
    removed = clean_submissions(_name_of(study), results, store.note)
    say_damaged({path: reason for path, reason in store.damaged.items() if path.parent not in removed}, SUBMIT_ANEW)
    for path in removed:
        say(f"removed {path}")
    if not removed:
        say("nothing to remove (what has jobs in the queue stays)")


def _name_of(study: str) -> str:
    """The study's name. Its file is read, so that a misspelt name is an error and not "no jobs".

    Its methods are not looked up: they may be in a plug-in.
    """
    from ..studies.load import study_source
    from ..studies.schema import StudyFile
    from ..studies.yaml_source import validate

    return validate(StudyFile, study_source(study)).name


COMMANDS = (submit, cancel, clean)
