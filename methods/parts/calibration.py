"""Statistics of the inputs of layers: their squared norms, or the products of all pairs, over training samples."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...benchmark.api.masks import check_finite
from ...benchmark.api.pruner import Batch, Context
from ...benchmark.api.sites import Site, Use
from ...benchmark.api.weight_uses import LinearUses, module_by_module
from .layer_matrix import called_uses, matrix_of, vectors_of
from .scoring import untouched

Statistic = Literal["norms", "products"]
BATCH_BYTES = 32 * 2**20
"""Of the inputs of a pass; a pass has at most MOST_SAMPLES."""
MOST_SAMPLES = 128
STATISTICS_BYTES = 2**30
"""Of the statistics that are held at a time, or those of one layer, if they are more."""
Listener = Callable[[Site, Use, Sequence[Any], Mapping[str, Any]], object]


def calibration_batches(context: Context, num_samples: int) -> list[Batch]:
    """The samples in batches that fit the memory, drawn once: every pass sees the same."""
    per_sample = 4 * torch.Size(context.input_shape).numel()
    return list(context.samples(num_samples, max(1, min(MOST_SAMPLES, BATCH_BYTES // per_sample))))


def call_order(model: nn.Module, sites: Sequence[Site], batches: Sequence[Batch]) -> list[Site]:
    """The sites in the order in which a forward pass first comes to them."""
    found: dict[str, Site] = {}
    _listen(model, sites, batches[:1], lambda site, *_: found.setdefault(site.name, site))
    return list(found.values())


def input_statistics(
    context: Context, sites: Sequence[Site], batches: Iterable[Batch], kind: Statistic
) -> dict[str, Tensor]:
    """Sums over all vectors x that a layer's weights meet, over all processes, in float64, by site name.

    `norms` are the sums of x_i^2, (groups, inputs); `products` those of x_i x_j, (groups, inputs, inputs). Eval mode.
    Raises FloatingPointError for inputs that are not finite.
    """
    sums = {site.name: _empty(site, kind) for site in sites}

    def add(site: Site, use: Use, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> None:
        for first, vectors in vectors_of(use, inputs, keywords):
            own = sums[site.name][first : first + len(vectors)]
            own += vectors.mT @ vectors if kind == "products" else vectors.square().sum(dim=1)

    _listen(context.model, sites, batches, add)
    for total in sums.values():
        context.reduce(total)
    check_finite(sums)
    return sums


def _empty(site: Site, kind: Statistic) -> Tensor:
    groups, _, inputs = matrix_of(site, site.weight).shape
    shape = (groups, inputs, inputs) if kind == "products" else (groups, inputs)
    return torch.zeros(shape, dtype=torch.float64, device=site.weight.device)


def groups_by_memory(sites: Sequence[Site], kind: Statistic) -> list[list[Site]]:
    """Consecutive sites whose statistics fit into STATISTICS_BYTES together, at least one in each group."""
    groups: list[list[Site]] = []
    room = 0
    for site in sites:
        groups_of_site, _, inputs = matrix_of(site, site.weight).shape
        size = 8 * groups_of_site * inputs ** (2 if kind == "products" else 1)
        if not groups or size > room:
            groups.append([])
            room = STATISTICS_BYTES
        groups[-1].append(site)
        room -= size
    return groups


@torch.no_grad()
def _listen(model: nn.Module, sites: Sequence[Site], batches: Iterable[Batch], listener: Listener) -> None:
    """Pass the batches through the network and tell the listener of every call that uses a weight of the sites."""
    by_weight: dict[int, tuple[Site, Use]] = {}  # of linear layers

    def heard_linear(weight: Tensor, inputs: Tensor) -> None:
        if (found := by_weight.get(id(weight))) is not None:
            listener(*found, (inputs,), {})

    with untouched(model, training=False), contextlib.ExitStack() as stack:
        stack.enter_context(module_by_module())
        for site in sites:
            for use in called_uses(model, site):
                if isinstance(use[0], nn.Linear):
                    by_weight[id(site.weight)] = site, use
                    continue
                handle = use[0].register_forward_pre_hook(_hook(listener, site, use), with_kwargs=True)
                stack.callback(handle.remove)
        stack.enter_context(LinearUses(heard_linear))
        for inputs, _ in batches:
            model(inputs)


def _hook(listener: Listener, site: Site, use: Use) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
    def heard(module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        listener(site, use, inputs, keywords)

    return heard
