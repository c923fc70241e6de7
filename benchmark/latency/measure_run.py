"""Measure one stored run: its variants agree, then they are timed in turns."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...datasets.parts.roots import data_root, reading_from
from ..api.data import Data
from ..api.errors import UserError
from ..runs import provenance
from ..runs.files import now
from ..runs.run import Run
from ..runs.settings import Settings
from ..runs.store import Store
from ..shrink import Shrunk, shrink
from ..training.measure_pair import finished_network, stored_state
from ..training.networks import Networks
from ..training.precision import set_precision
from ..training.run_data import read_data
from .energy import joules_of_call, open_counter
from .machine import CPU, this_machine
from .peak import peak_growth
from .turns import in_turns, quantiles
from .variant import Call, Variant
from .variants import Subject, find_variants


class Disagrees(UserError):
    """A variant gives other outputs than rounding explains, so its time would be that of another network."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to measure: sizes of batches, timed calls of each variant, and names of variants."""

    batches: tuple[int, ...]
    repeats: int
    variants: tuple[str, ...]


def measure_run(run: Run, study: str, settings: Settings, device: torch.device, asked: Asked) -> dict[str, Any]:
    """The content of a run's file. Everything is float32 without TF32 where a variant's name says no other.

    Raises Disagrees, Damaged for missing or other weights, UserError for data other than those of the run.
    """
    torch.set_num_threads(settings.threads)
    set_precision("float32")
    with reading_from(data_root(settings.data_root)), torch.random.fork_rng(devices=[]):
        data = read_data(run, settings)
        state, digest = stored_state(Store(settings.results).folder(study, run), data)
        found = find_variants(_subject(run, state, data, settings, device), asked.variants)
    with torch.inference_mode():
        inputs = sample_inputs(data, max(asked.batches))
        differences = check_agreement(found.variants, inputs, run.id)
        times = [_times(found.variants, inputs[:batch], asked.repeats) for batch in asked.batches]
        return {
            "run": run.id,
            "weights": digest,
            "machine": this_machine(device, settings.threads),
            "batches": list(asked.batches),
            "repeats": asked.repeats,
            "variants": {
                name: _record(variant, [each[name] for each in times if name in each], inputs, differences[name])
                for name, variant in found.variants.items()
            },
            "left_out": found.left_out,
            "provenance": {**provenance.environment(), "finished": now()},
        }


def _subject(
    run: Run, state: Mapping[str, Tensor], data: Data, settings: Settings, device: torch.device
) -> Subject:  # fmt: skip
    """The dense network of a pruned run is newly initialised: its time does not depend on the values."""
    networks = Networks(run, data, settings, device)
    stored = finished_network(run, data, settings, device)
    stored.load_state_dict(dict(state))
    dense = stored if run.is_dense else networks.rebuild()
    example = sample_inputs(data, 2).to(device)

    def smaller() -> Shrunk:
        done = shrink(stored, {}, example)
        return replace(done, network=networks.place(done.network).eval())

    return Subject(
        dense=dense.eval(), pruned=None if run.is_dense else stored.eval(), shrink=smaller, data=data, device=device,
        threads=settings.threads,
    )  # fmt: skip


def sample_inputs(data: Data, count: int) -> Tensor:
    """The first training images in file order, not augmented, from the start again where there are too few."""
    return data.train.sample(torch.arange(count) % len(data.train), device=CPU)[0]


def check_agreement(variants: Mapping[str, Variant], inputs: Tensor, run_id: str) -> dict[str, float | None]:
    """Largest difference of each variant from its reference, as a share of the largest output of that.

    Variants without a measured reference have None. Raises Disagrees.
    """
    outputs = {name: variant.outputs(inputs) for name, variant in variants.items()}
    found: dict[str, float | None] = {}
    for name, variant in variants.items():
        expected = outputs.get(variant.reference or "")
        found[name] = None if expected is None else difference(outputs[name], variant.largest(expected))
        if (part := found[name]) is not None and not part <= variant.tolerance:
            raise Disagrees(
                f"run {run_id}: outputs of variant {name!r} differ from those of {variant.reference!r} by "
                f"{part:.2g} of the largest, more than rounding ({variant.tolerance:g}): it is not timed"
            )
    return found


def difference(outputs: Tensor, expected: Tensor) -> float:
    largest = float(expected.abs().max())
    distance = float((outputs - expected).abs().max())
    return distance / largest if largest else distance


def _times(variants: Mapping[str, Variant], inputs: Tensor, repeats: int) -> dict[str, dict[str, Any]]:
    calls = {name: variant.bind(inputs) for name, variant in variants.items() if variant.takes(len(inputs))}
    seconds = in_turns(calls, repeats)
    return {
        name: {"batch": len(inputs), **quantiles(seconds[name]), "joules": _joules(variants[name], call, len(inputs))}
        for name, call in calls.items()
    }


def _joules(variant: Variant, call: Call, batch: int) -> float | None:
    """Of one input."""
    counter = open_counter(variant.device)
    return None if counter is None else joules_of_call(call, counter) / batch


def _record(
    variant: Variant, times: list[dict[str, Any]], inputs: Tensor, difference: float | None
) -> dict[str, Any]:  # fmt: skip
    return {
        "times": times,
        "file_bytes": variant.file_bytes,
        "packed_bytes": variant.packed_bytes,
        "peak_memory_bytes": peak_growth(functools.partial(variant.bind, variant.largest(inputs)), variant.device),
        "difference": difference,
        "accuracy": variant.accuracy,
    }


def linear_shapes(runs: Sequence[Run], settings: Settings) -> list[tuple[int, ...]]:
    """Distinct shapes (outputs, inputs) of the linear layers of the runs' dense networks, largest first."""
    shapes: set[tuple[int, ...]] = set()
    with reading_from(data_root(settings.data_root)), torch.random.fork_rng(devices=[]):
        for run in {(run.model, run.model_options): run for run in runs}.values():
            model = Networks(run, read_data(run, settings), settings, CPU).rebuild()
            shapes |= {tuple(layer.weight.shape) for layer in model.modules() if isinstance(layer, nn.Linear)}
    return sorted(shapes, key=lambda shape: (-math.prod(shape), shape))
