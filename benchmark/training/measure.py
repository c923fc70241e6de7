"""What is measured of a network, in the same way for every method: no method reports its own numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..api.masks import num_kept
from ..api.pruner import Pruner
from ..api.sites import find_sites
from ..models.count_macs import count_macs


class Diverged(Exception):
    """The training loss, or the trained network, is not finite."""


def check_masks(pruner: Pruner, *, at_end: bool) -> None:
    """Weights outside the masks are exactly zero; at the end the number kept is exactly that of the target.

    Raises Diverged for weights that are not finite (no mask makes these zero), RuntimeError otherwise.
    """
    masks = pruner.masks
    if masks is None:
        return
    for name, site in masks.sites.items():
        if not torch.isfinite(site.weight.detach()).all():
            raise Diverged(f"weights of layer {name!r} are not finite")
        leaked = int((site.weight.detach().masked_select(~masks[name]) != 0).sum())
        if leaked:
            raise RuntimeError(f"{leaked} pruned weights of layer {name!r} are not zero")
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
    masks = pruner.masks
    counts = {}
    for site in find_sites(model):
        weight = site.weight.detach()
        if masks is not None and site.name in masks.sites:
            kept = masks[site.name].sum()
        elif masks is not None:
            kept = torch.tensor(weight.numel())
        else:
            kept = (weight != 0).sum()
        counts[site.name] = (int(kept), weight.numel())
    return counts


def count_layers(model: nn.Module, pruner: Pruner, input_shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """One record a prunable layer of the detached network: shape, kept, total, zeros among the kept, dense MACs."""
    macs = count_macs(model, input_shape)
    counts = kept_by_layer(model, pruner)
    layers = []
    for site in find_sites(model):
        kept, total = counts[site.name]
        nonzero = int((site.weight.detach() != 0).sum())
        layers.append(
            {
                "name": site.name,
                "shape": list(site.weight.shape),
                "total": total,
                "kept": kept,
                "density": kept / total,
                "zeros_kept": kept - nonzero,
                "macs": macs[site.name],
            }
        )
    return layers
