"""The command that measures milliseconds, bytes and joules of stored networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..analysis.latency_text import csr_lines
from ..api.errors import UserError, unknown
from ..runs.latency_variants import VARIANTS, machine_text
from ..runs.settings import MAX_THREADS, Settings, check_device_name
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
from .output import INCOMPLETE, MEASURE_ANEW, say_damaged

if TYPE_CHECKING:
    from ..latency.measure_study import LatencyStates
    from ..runs.run import Run
    from ..runs.store import Store
    from ..studies.load import Study

LEAST_REPEATS = 100
REFERENCES = ("dense", "masked")
"""Always measured: times are compared with the one, outputs with the other."""
HOW_TO_KEEP = "`prunebench run {} --keep-weights --recompute` computes them anew and keeps their weights"


def _known_variants(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in VARIANTS:
            raise unknown("variant", name, VARIANTS)
    return tuple(name for name in VARIANTS if not names or name in (*REFERENCES, *names))


@click.command
@study_argument
@selection_options
@results_option
@data_root_option
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N; ONNX Runtime computes on the CPU.")
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), default=1, help="CPU threads of a call.")
@click.option("--batch", type=click.IntRange(min=2), default=128, help="The throughput batch, measured beside 1.")
@click.option("--repeats", type=click.IntRange(min=LEAST_REPEATS), default=LEAST_REPEATS, help="Timed calls each.")
@click.option(
    "--variant", "variants", multiple=True, metavar="NAME", callback=_known_variants,
    help=f"Only these besides dense and masked, of {', '.join(VARIANTS)}; may be given several times.",
)  # fmt: skip
@click.option("--remeasure", is_flag=True, help="Also what is measured on this machine already.")
def latency(
    study: str,
    selection: Selection,
    results: Path,
    data_root: Path | None,
    device: str,
    threads: int,
    batch: int,
    repeats: int,
    variants: tuple[str, ...],
    remeasure: bool,
) -> None:
    """Measure latency, file size and memory of stored networks: dense, masked, shrunk, sparse kernels, ONNX, INT8.

    Needs stored weights (`run --keep-weights`). All variants of a run must give the same outputs within rounding, and
    are timed in turns. `table --kind latency` and `plot --kind latency` show what is measured, each machine by itself.
    Exits with 3 if runs or their weights are missing, with 1 if a variant gives other outputs.
    """
    check_device_name(device)
    opened, store = selection.open(study), open_store(results)
    from ..latency.machine import this_machine
    from ..latency.measure_run import Asked
    from ..latency.measure_study import latency_states, measure_csr, measure_study
    from ..training.setup import choose_device

    chosen = choose_device(device)
    settings = Settings(
        results=results, data_root=data_root, device=str(chosen), threads=threads,
        plugins=selection.plugin_paths(opened),
    )  # fmt: skip
    asked = Asked(batches=(1, batch), repeats=repeats, variants=variants)
    machine = this_machine(chosen, threads)
    states = latency_states(opened, store, machine, asked, remeasure=remeasure)
    _check_some(opened, states)
    num_ready, num_stored = len(states.ready), len(states.measured)
    say(f"{opened.name}: {num_ready} runs to measure, {num_stored} are stored; {machine_text(machine)}")
    failed: list[Run] = []

    def on_end(run: Run, found: Mapping[str, Any] | UserError) -> None:
        if isinstance(found, UserError):
            failed.append(run)
            say(f"not measured: {found}")
        else:
            say(f"measured: {describe_run(run, opened.labels_of_runs)}: {_p50_line(found)}")

    if states.ready:
        check_writable(store.root)
        measure_study(opened, states.ready, settings, chosen, asked, on_end)
    if chosen.type == "cpu" and "csr" in variants:
        products = measure_csr(opened, (*states.measured, *states.ready), settings, asked, remeasure=remeasure)
        for line in csr_lines(products) if products else ():
            say(line)
    raise click.exceptions.Exit(_end(opened, store, states, len(failed)))


def _check_some(study: Study, states: LatencyStates) -> None:
    """Raises UserError where no run has what is measured."""
    if states.ready or states.measured:
        return
    if states.without_weights:
        raise UserError(f"no stored run of study {study.name!r} has its weights here; {HOW_TO_KEEP.format(study.name)}")
    raise UserError(f"no run of study {study.name!r} is stored; `prunebench run {study.name} --keep-weights` first")


def _p50_line(found: Mapping[str, Any]) -> str:
    """The median milliseconds of each variant with the first batch."""
    parts = [f"{name} {each['times'][0]['p50'] * 1000:.3f}" for name, each in found["variants"].items()]
    return f"p50 in ms at batch {found['batches'][0]}: {', '.join(parts)}"


def _end(study: Study, store: Store, states: LatencyStates, num_failed: int) -> int:
    """Say what is measured and what is not, and return the exit code."""
    say_damaged(store.damaged, MEASURE_ANEW)
    num_without = len(states.without_weights)
    parts = [f"{len(states.measured) + len(states.ready) - num_failed} runs are measured"]
    parts += [f"{num_failed} failed"] * bool(num_failed)
    parts += [f"{states.missing} are not stored"] * bool(states.missing)
    parts += [f"{num_without} have no weights here"] * bool(num_without)
    say(f"{study.name}: {', '.join(parts)}")
    if num_without:
        say(HOW_TO_KEEP.format(study.name))
    return 1 if num_failed else INCOMPLETE if states.missing or num_without else 0


COMMANDS = (latency,)
