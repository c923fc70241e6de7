"""What two retrainings have in common: errors on the way from one to the other, and how alike their outputs are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...methods.registry import create, describe
from ..api.data import Data, Split
from ..api.errors import Damaged, UserError
from ..runs import provenance
from ..runs.artifacts import load_weights
from ..runs.files import now
from ..runs.run import Recipe, Run
from ..runs.run_folder import RunFolder
from ..runs.settings import Settings
from ..runs.store import Store
from .context import make_context
from .evaluate import evaluation_batch, forward_precision
from .linear_path import path_errors
from .networks import Networks
from .precision import set_precision
from .run_data import read_data
from .setup import own_device
from .similarity import linear_cka

CKA_SAMPLES = 6464
"""Training images whose outputs are compared, the first in file order; the authors' code takes 101 batches of 64."""


def measure_pair(runs: tuple[Run, Run], study: str, settings: Settings, measure: Sequence[str]) -> dict[str, Any]:
    """The content of a pair's file. All is measured on the training split, not augmented, in file order.

    Raises Damaged for missing or other weights, UserError for data other than those of the runs.
    """
    folders = [Store(settings.results).folder(study, run) for run in runs]
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(settings.deterministic)
    device, data, run = own_device(settings), read_data(runs[0], settings), runs[0]
    set_precision(run.recipe.precision)
    (first, first_digest), (second, second_digest) = (stored_state(folder, data) for folder in folders)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        model = finished_network(run, data, settings, device)
    found: dict[str, Any] = {
        "runs": [each.id for each in runs],
        "weights": [first_digest, second_digest],
        "data": data.fingerprint,
        "same_mask": _have_same_zeros(first, second),
    }
    if "lmc" in measure:
        found["errors"] = path_errors(model, first, second, data.train, run.recipe, device, data.input_shape)
    if "cka" in measure:
        found |= _similarities(model, (first, second), data.train, run.recipe, device, data.input_shape)
    machine = {**provenance.environment(), **provenance.device_facts(device), "finished": now()}
    return {**found, "provenance": machine}


def stored_state(folder: RunFolder, data: Data) -> tuple[dict[str, Tensor], str]:
    """The stored weights of a run and their SHA-256. Raises Damaged, and UserError for results of other data."""
    result = folder.read_result()
    if result is None:
        raise Damaged(folder.result_path, "it is missing")
    if result["data"]["fingerprint"] != data.fingerprint:
        raise UserError(f"run {folder.path.name} was computed on other {data.name} data than those of the data root")
    facts = result["files"][folder.model_path.name]
    return load_weights(folder.model_path, facts), facts["sha256"]


def finished_network(run: Run, data: Data, settings: Settings, device: torch.device) -> nn.Module:
    """A network of the shape that the finished run has; its values mean nothing."""
    networks = Networks(run, data, settings, device)
    model = networks.rebuild()
    if describe(run.method).keeps_network:
        return model
    context = make_context(model, data, recipe=run.recipe, seed=run.seed, device=device, rebuild=networks.rebuild)
    return networks.place(create(run.method, run.sparsity, dict(run.method_options)).attach(context))


def _have_same_zeros(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether both are zero in the same places, so that the path between them stays within one mask."""
    return all(torch.equal(value == 0, second[name] == 0) for name, value in first.items() if value.dim() > 1)


def _similarities(
    model: nn.Module,
    states: Sequence[dict[str, Tensor]],
    split: Split,
    recipe: Recipe,
    device: torch.device,
    input_shape: tuple[int, ...],
) -> dict[str, Any]:
    logits = []
    for state in states:
        model.load_state_dict(state)
        logits.append(outputs(model, split, recipe, device, input_shape))
    softmax = [each.softmax(dim=1) for each in logits]
    return {
        "cka_samples": len(logits[0]),
        "cka_softmax": _number(linear_cka(softmax[0], softmax[1])),
        "cka_logits": _number(linear_cka(logits[0], logits[1])),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


@torch.no_grad()
def outputs(
    model: nn.Module, split: Split, recipe: Recipe, device: torch.device, input_shape: tuple[int, ...]
) -> Tensor:
    """Logits (samples, classes) of the first CKA_SAMPLES samples, in eval mode, as float64 on the CPU."""
    model.eval()
    parts: list[Tensor] = []
    for inputs, _ in split.batches(evaluation_batch(input_shape), device=device):
        with forward_precision(recipe, device):
            parts.append(model(inputs[: CKA_SAMPLES - sum(map(len, parts))]).double().cpu())
        if sum(map(len, parts)) >= CKA_SAMPLES:
            break
    return torch.cat(parts)
