"""What is measured of a network, in the same way for every method: no method reports its own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..api.masks import num_kept
from ..api.pruner import Pruner
from ..api.sites import Site, find_sites
from ..api.transfer import read
from ..models.count_macs import count_macs


class Diverged(Exception):
    """The training loss, or the trained network, is not finite."""


def check_masks(pruner: Pruner, *, at_end: bool) -> None:
    """Weights outside the masks are exactly zero; at the end the number kept is exactly that of the target.

    Raises Diverged for weights that are not finite (no mask makes these zero), RuntimeError otherwise; and what
    `Masks.inspect` raises.
    """
    masks = pruner.masks
    if masks is None:
        return
    for name, layer in masks.inspect().items():
        if layer.not_finite:
            raise Diverged(f"weights of layer {name!r} are not finite")
        if layer.leaked:
            raise RuntimeError(f"{layer.leaked} pruned weights of layer {name!r} are not zero")
    if at_end and pruner.reaches_target:
        wanted = num_kept(masks.num_total, pruner.sparsity)
        if masks.num_kept != wanted:
            raise RuntimeError(f"{masks.num_kept} weights are kept, the target is {wanted} of {masks.num_total}")


def check_finite_state(model: nn.Module) -> None:
    """Every parameter and statistic of a finished network is finite. Raises Diverged naming the first that is not.

    The training loss is computed before each step, so it does not show what the last step did.
    """
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and not torch.isfinite(tensor.detach()).all():
            raise Diverged(f"{name} of the trained network is not finite")


def kept_by_layer(model: nn.Module, pruner: Pruner) -> dict[str, tuple[int, int]]:
    """(kept, total) of each prunable layer: of its mask, or of its non-zero weights where the method has no masks."""
    sites = find_sites(model)
    totals = {site.name: site.weight.numel() for site in sites}
    if pruner.masks is not None:
        counts = {**totals, **pruner.masks.counts}
    else:
        counts = _nonzero_by_layer(sites)
    return {name: (counts[name], total) for name, total in totals.items()}


def _nonzero_by_layer(sites: Sequence[Site]) -> dict[str, int]:
    counts = read([site.weight.detach().count_nonzero() for site in sites])
    return dict(zip([site.name for site in sites], counts, strict=True))


def count_layers(model: nn.Module, pruner: Pruner, input_shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """One record a prunable layer of the detached network: shape, kept, total, zeros among the kept, dense MACs."""
    macs = count_macs(model, input_shape)
    counts = kept_by_layer(model, pruner)
    nonzero = _nonzero_by_layer(find_sites(model))
    layers = []
    for site in find_sites(model):
        kept, total = counts[site.name]
        layers.append(
            {
                "name": site.name,
                "shape": list(site.weight.shape),
                "total": total,
                "kept": kept,
                "density": kept / total,
                "zeros_kept": kept - nonzero[site.name],
                "macs": macs[site.name],
            }
        )
    return layers
