"""Which runs of a study can be measured on this machine, and the measuring, each stored when it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..api.errors import Damaged
from ..runs import provenance
from ..runs.files import now
from ..runs.latency_files import is_enough, latency_path, read_csr, read_latency, write_latency
from ..runs.latency_variants import VARIANTS
from ..runs.pair_files import has_weights
from ..runs.recompute import is_done
from ..runs.run import Run
from ..runs.settings import Settings
from ..runs.store import Store
from ..studies.load import Study
from .csr import measure_shape
from .machine import CPU, this_machine
from .measure_run import Asked, Disagrees, linear_shapes, measure_run


@dataclass(frozen=True)
class LatencyStates:
    """The runs of a study by what is to be done.

    Attributes:
        measured: measured on this machine already.
        ready: stored with weights, to be measured.
        without_weights: stored, but their weights are not here.
        missing: number of runs that are not stored.
    """

    measured: tuple[Run, ...]
    ready: tuple[Run, ...]
    without_weights: tuple[Run, ...]
    missing: int


def latency_states(
    study: Study, store: Store, machine: Mapping[str, Any], asked: Asked, *, remeasure: bool = False
) -> LatencyStates:
    """Look every run up. Damaged files are noted in the store, and their runs measured again."""
    missing = 0
    measured: list[Run] = []
    ready: list[Run] = []
    without_weights: list[Run] = []
    for run in study.runs:
        folder = store.folder(study.name, run)
        if not is_done(folder):
            missing += 1
        elif not has_weights(folder):
            without_weights.append(run)
        elif not remeasure and _is_enough(_stored(study.name, run, store, machine), asked):
            measured.append(run)
        else:
            ready.append(run)
    return LatencyStates(tuple(measured), tuple(ready), tuple(without_weights), missing)


def _stored(study: str, run: Run, store: Store, machine: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        return read_latency(latency_path(store.root, study, run.id, machine), store.folder(study, run))
    except Damaged as error:
        store.note(error)
        return None


def _is_enough(found: Mapping[str, Any] | None, asked: Asked) -> bool:
    return found is not None and is_enough(found, asked.batches, asked.repeats, asked.variants)


def measure_study(
    study: Study,
    runs: Sequence[Run],
    settings: Settings,
    device: torch.device,
    asked: Asked,
    on_end: Callable[[Run, Mapping[str, Any] | Disagrees], None],
) -> None:
    """Measure and store runs one after the other: two at once would slow each other.

    Variants that are stored of a run are measured again with those asked for: its file holds one session of turns.
    `on_end` is called after each, with its file's content or with the variant that disagrees.
    """
    machine, store = this_machine(device, settings.threads), Store(settings.results)
    for run in runs:
        stored = (_stored(study.name, run, store, machine) or {}).get("variants", ())
        wanted = replace(asked, variants=tuple(name for name in VARIANTS if name in {*asked.variants, *stored}))
        try:
            content = measure_run(run, study.name, settings, device, wanted)
        except Disagrees as error:
            on_end(run, error)
            continue
        write_latency(latency_path(settings.results, study.name, run.id, machine), content)
        on_end(run, content)


def measure_csr(
    study: Study, runs: Sequence[Run], settings: Settings, asked: Asked, *, remeasure: bool = False
) -> Mapping[str, Any] | None:
    """From which density CSR pays for the linear layers of the runs' dense networks, on the CPU; stored and kept.

    None for networks without linear layers.
    """
    machine = this_machine(CPU, settings.threads)
    path = latency_path(settings.results, study.name, "csr", machine)
    shapes = linear_shapes(runs, settings)
    stored = None if remeasure else _stored_csr(path, asked, shapes)
    if stored is not None or not shapes:
        return stored
    torch.set_num_threads(settings.threads)
    measured = [measure_shape(shape, batch, asked.repeats) for shape in shapes for batch in asked.batches]
    content = {
        "machine": machine,
        "batches": list(asked.batches),
        "repeats": asked.repeats,
        "shapes": measured,
        "provenance": {**provenance.environment(), "finished": now()},
    }
    write_latency(path, content)
    return content


def _stored_csr(path: Any, asked: Asked, shapes: Sequence[tuple[int, ...]]) -> Mapping[str, Any] | None:
    try:
        found = read_csr(path)
    except Damaged:
        return None  # measured anew, and replaced
    if found is None or found["repeats"] < asked.repeats:
        return None
    known = {(tuple(each["shape"]), each["batch"]) for each in found["shapes"]}
    wanted = {(shape, batch) for shape in shapes for batch in asked.batches}
    return found if wanted <= known else None
