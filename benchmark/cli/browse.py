"""Commands that read: list, plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..analysis.plain_text import one_line
from ..api.errors import UserError, unknown
from ..runs.run_folder import RunFolder
from ..studies.plan import make_plan
from .options import (
    Selection,
    add_plugins,
    data_root_option,
    json_option,
    open_store,
    plugin_option,
    print_json,
    results_option,
    say,
    selection_options,
    stage_lines,
    stages_as_json,
    study_argument,
    whole,
)

if TYPE_CHECKING:
    from ..runs.run import Run

KINDS = ("methods", "models", "datasets", "studies", "profiles")


def _complete_kind(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


@click.command("list")
@click.argument("kind", default="methods", metavar="[KIND]", shell_complete=_complete_kind)
@json_option
@plugin_option
def list_names(kind: str, as_json: bool, plugins: tuple[str, ...]) -> None:
    """List methods, models, data sets, studies or cluster profiles; with --json also the options of the first three.

    KIND is methods (unless given), models, datasets, studies or profiles. `show NAME` prints the options of one.
    """
    add_plugins(plugins)
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    rows = _LISTS[kind]()
    if as_json:
        print_json({kind: [_with_options(kind, row) for row in rows]})
        return
    _print_columns([_marked(row) for row in rows] if kind == "methods" else rows)
    if any(row.get("uncertain") for row in rows):
        say("?: something of it could not be checked against its paper or code; `prunebench show NAME` says what")


def _marked(row: dict[str, Any]) -> dict[str, Any]:
    """A method's row with a mark in place of the text that says what is uncertain."""
    name = f"{row['name']} ?" if row["uncertain"] else row["name"]
    return {"name": name, **{key: value for key, value in row.items() if key not in ("name", "uncertain")}}


def _with_options(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    from .option_facts import KINDS_WITH_OPTIONS

    return {**row, "options": KINDS_WITH_OPTIONS[kind](row["name"])} if kind in KINDS_WITH_OPTIONS else row


def _methods() -> list[dict[str, Any]]:
    from ...methods.registry import describe, method_names

    infos = [describe(name) for name in method_names()]
    return [
        {
            "name": i.name, "label": i.label, "family": i.family, "start": i.start, "needs": i.needs, "year": i.year,
            "paper": i.paper, "uncertain": i.uncertain,
        }
        for i in infos
    ]  # fmt: skip


def _models() -> list[dict[str, Any]]:
    from ..models.registry import model_names

    return [{"name": name} for name in model_names()]


def _datasets() -> list[dict[str, Any]]:
    from ...datasets.registry import OWN, dataset_names, describe

    infos = [describe(name) for name in dataset_names()]
    known = [
        {"name": i.name, "input": "x".join(map(str, i.input_shape)), "classes": i.num_classes, "licence": i.licence}
        for i in infos
    ]
    return [*known, *({"name": name, "input": None, "classes": None, "licence": "your own"} for name in OWN)]


def _studies() -> list[dict[str, Any]]:
    from ..studies.load import study_names, study_source

    sources = {name: study_source(name).data for name in study_names()}
    return [{"name": name, "title": data.get("title", "")} for name, data in sources.items()]


def _profiles() -> list[dict[str, Any]]:
    from importlib import resources

    folder = resources.files("prunebench.slurm") / "profiles"
    names = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return [{"name": name} for name in names]


_LISTS = {
    "methods": _methods,
    "models": _models,
    "datasets": _datasets,
    "studies": _studies,
    "profiles": _profiles,
}


def _print_columns(rows: list[dict[str, Any]]) -> None:
    """Aligned text columns with a heading."""
    if not rows:
        say("(none)")
        return
    table = [
        list(rows[0]),
        *([one_line("-" if value is None else str(value)) for value in row.values()] for row in rows),
    ]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@click.command
@study_argument
@selection_options
@results_option
@data_root_option
@click.option(
    "--throughput", "images_per_second", type=click.FloatRange(min=0.001), metavar="NUMBER",
    help="Training images a second on one device.",
)  # fmt: skip
@click.option("--calibrate", is_flag=True, help="Measure the throughput and count multiply-adds here (loads torch).")
@click.option("--device-name", metavar="NAME", help="Take the speed of a common device; a wrong name lists them.")
@click.option("--gpus", type=click.IntRange(min=1), default=1, help="Devices that compute at once, for the wall time.")
@json_option
def plan(
    study: str,
    selection: Selection,
    results: Path,
    data_root: Path | None,
    images_per_second: float | None,
    calibrate: bool,
    device_name: str | None,
    gpus: int,
    as_json: bool,
) -> None:
    """Print the runs, the shared dense trainings, what is done, and what it costs in time, disk and memory."""
    given = {"--throughput": images_per_second, "--calibrate": calibrate, "--device-name": device_name}
    if len(both := [option for option, value in given.items() if value]) > 1:
        raise UserError(f"{' and '.join(both)} exclude each other: each gives a speed")
    from ..studies.devices import find_device
    from ..studies.footprint import footprint

    device = None if device_name is None else find_device(device_name)
    from ..preflight.networks import kept_by_training, missing_weights, network_name, sizes_by_network, warnings
    from ..studies.budget import ledger, ledger_as_dict, ledger_lines
    from ..studies.cost import estimate
    from ..tuning.ledger import ledger_lines as trial_ledger_lines

    store = open_store(results)
    asked = selection.open(study)
    opened = whole(asked, store)
    made = make_plan(opened.name, opened.runs, store)
    source, count = "throughput as given", None
    if calibrate:
        from ..models.macs_table import count_one
        from ..training.calibrate import measure_throughput

        count = count_one
        images_per_second = measure_throughput(opened.runs[0])
        source = f"{images_per_second:.0f} images a second in training steps, measured here"
        if len({run.model_options for run in opened.runs}) > 1:
            source += " with the first of several networks"
    figures = estimate(opened, made, store, images_per_second, source, count, device, gpus)
    sizes = sizes_by_network(job.run for job in made.jobs)
    counts = {name: (each.parameters, each.prunable) for name, each in sizes.items()}
    needs = footprint(made.to_do, lambda run: counts[network_name(run)], kept_by_training)
    missing = missing_weights(job.run for job in made.to_do)
    for line in warnings(sizes):
        say(one_line(line))
    budget = opened.file.budget
    if as_json:
        networks = {name: vars(each) for name, each in sizes.items()}
        jobs = [_job(job) for job in made.jobs]
        print_json(
            {
                "study": opened.name,
                **figures.as_dict(),
                "bytes": vars(needs),
                "missing": missing,
                "networks": networks,
                "jobs": jobs,
                "budget": None if budget is None else ledger_as_dict(budget, ledger(budget, opened.rows)),
                **stages_as_json(asked, store),
            }
        )
        return
    budgeted = [] if budget is None else ledger_lines(budget, ledger(budget, opened.rows))
    stages = (*trial_ledger_lines(asked), *_aligned(stage_lines(asked, store)))
    for line in (*figures.lines(), *budgeted, *stages, *needs.lines()):
        print(one_line(line))
    for name, each in sizes.items():
        print(one_line(f"network        {name}: {each.describe()}"))
    for reason in missing:
        print(one_line(f"missing        {reason}"))


def _aligned(lines: list[str]) -> list[str]:
    """`key: text` with the text below that of the other lines of a plan."""
    return [f"{key:<15}{text}" for key, _, text in (line.partition(": ") for line in lines)]


def _job(job: Any) -> dict[str, Any]:
    run, state = job.run, job.status
    return {
        "id": run.id, "method": run.method, "sparsity": run.sparsity, "seed": run.seed,
        "retrain_seed": run.retrain_seed,
        "parent": run.parent.id if run.parent else None, "state": state.state, "reason": state.reason,
    }  # fmt: skip


def describe_run(run: Run, labels: Mapping[str, str] | None = None) -> str:
    """A run in a line of text. `labels` by id, as of a study: two rows of one method would read alike without them."""
    from ...methods.registry import describe

    retraining = f" retraining {run.retrain_seed}" if run.retrain_seed else ""
    label = (labels or {}).get(run.id)
    row = f" ({one_line(label)})" if label is not None and label != describe(run.method).label else ""
    return f"{run.id} {run.method} {run.sparsity * 100:g}% seed {run.seed}{retraining}{row}"


def find_one(results: Path, run_id: str) -> RunFolder:
    """As `Store.find_one`."""
    return open_store(results).find_one(run_id)


COMMANDS = (list_names, plan)
