"""What is measured of a finished network, for every method alike: no method reports its own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..api.masks import find_sites, num_kept
from ..api.pruner import Pruner
from ..models.count_macs import count_macs, sparse_macs
from ..models.outside import Sizes
from .loop import Diverged

SAME_SPARSITY = 5e-4
"""Epochs count as 'at the final sparsity' within this tolerance: learned thresholds drift by a few weights."""


def check_masks(pruner: Pruner, *, at_end: bool) -> None:
    """Weights outside the masks are exactly zero; at the end the number kept is exactly that of the target.

    Raises Diverged for weights that are not finite (which no mask can bring back to zero), RuntimeError otherwise.
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

    The training loss is that before a step, so it says nothing about the last one.
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


def summarize_layers(
    layers: Sequence[Mapping[str, Any]],
    target: float,
    pruner: Pruner,
    model: nn.Module,
    original: Sizes,
    original_macs: int,
) -> dict[str, Any]:
    """Sparsity and multiply-adds of a finished network against the original one.

    `original` and `original_macs` (of one input) are of the network before pruning.
    """
    kept = sum(layer["kept"] for layer in layers)
    sparse = sparse_macs({x["name"]: x["macs"] for x in layers}, {x["name"]: x["density"] for x in layers})
    masks = pruner.masks
    parameters = sum(parameter.numel() for parameter in model.parameters())
    zeros = sum(layer["total"] - layer["kept"] for layer in layers)
    densest = min(layers, key=lambda layer: layer["density"])
    return {
        "sparsity": {
            "target": target,
            "achieved": 1 - kept / original.prunable,
            "of_pruned_layers": 1 - masks.num_kept / masks.num_total if masks is not None else None,
            "of_all_parameters": zeros / parameters,
            "kept": kept,
            "prunable": original.prunable,
            "parameters": parameters,
            "parameters_before": original.parameters,
            "outside": dict(original.outside),
            "layers_left_dense": [layer["name"] for layer in layers if masks and layer["name"] not in masks.sites],
            "empty_layers": [layer["name"] for layer in layers if layer["kept"] == 0],
            "smallest_layer_density": densest["density"],
            "smallest_layer": densest["name"],
        },
        "macs": {
            "convention": "multiply-adds with prunable weights, batch 1, no bias, norm or pooling",
            "dense": original_macs,
            "sparse": sparse,
            "pruned": 1 - sparse / original_macs,
        },
        "layers": list(layers),
    }


def summarize_accuracy(
    history: Sequence[Mapping[str, Any]], before: Mapping[str, Any], pruned: Mapping[str, Any], last: Mapping[str, Any]
) -> dict[str, Any]:
    """The accuracies of a run under every protocol, as fractions of the test set.

    `selected` is the test accuracy of the epoch with the best validation accuracy (the first on ties) and `best_test`
    the best over epochs, which the paper's code reports. Both look only at epochs at the final sparsity.
    """
    accuracy: dict[str, Any] = {
        "before": before["accuracy"], "pruned": pruned["accuracy"], "last": last["accuracy"],
        "last_top5": last["top5"], "selected": None, "selected_top5": None, "selected_epoch": None,
        "selected_validation": None, "best_test": None, "best_test_epoch": None,
    }  # fmt: skip
    final = history[-1]["density"] if history else None
    eligible = [record for record in history if abs(record["density"] - final) <= SAME_SPARSITY]
    if eligible:
        best = max(eligible, key=lambda record: record["test_accuracy"])
        accuracy |= {"best_test": best["test_accuracy"], "best_test_epoch": best["epoch"]}
    if eligible and eligible[0]["validation_accuracy"] is not None:
        chosen = max(eligible, key=lambda record: record["validation_accuracy"])
        accuracy |= {
            "selected": chosen["test_accuracy"], "selected_top5": chosen["test_top5"],
            "selected_epoch": chosen["epoch"], "selected_validation": chosen["validation_accuracy"],
        }  # fmt: skip
    return {"accuracy": accuracy, "loss": {"before": before["loss"], "pruned": pruned["loss"], "last": last["loss"]}}


def training_cost(history: Sequence[Mapping[str, Any]], dense_macs: int, num_samples: int) -> dict[str, Any]:
    """Epochs and multiply-adds of a training. Forward and backward together are three forward passes.

    `macs` is what was computed (masks save nothing here); `sparse_macs` what a machine that skips zeros would compute.
    """
    return {
        "epochs": len(history),
        "macs": 3 * dense_macs * num_samples * len(history),
        "sparse_macs": 3 * num_samples * sum(record["macs"] for record in history),
    }


def scoring_indices(targets: Tensor, num_samples: int, balanced: bool, generator: torch.Generator) -> Tensor:
    """Which training samples a score sees: drawn without replacement, the whole split if it has no more.

    `balanced` takes num_samples / classes of each class (all of a smaller class), in shuffled order.
    """
    if not balanced:
        return torch.randperm(len(targets), generator=generator)[:num_samples]
    classes = targets.unique()
    chosen = []
    for label in classes:
        members = (targets == label).nonzero().squeeze(1)
        chosen.append(members[torch.randperm(len(members), generator=generator)[: num_samples // len(classes)]])
    indices = torch.cat(chosen)
    return indices[torch.randperm(len(indices), generator=generator)]


def scoring_batches(indices: Tensor, batch_size: int, num_ranks: int) -> list[Tensor]:
    """Batches of samples for a score. A rest that leaves a process fewer than two samples joins the batch before it.

    Batch norm in training mode cannot take a single sample. Batches that were asked for so small stay as they are.
    """
    parts = list(indices.split(batch_size))
    if len(parts) > 1 and len(parts[-1]) < 2 * num_ranks <= batch_size:
        *parts, last, rest = parts
        parts.append(torch.cat([last, rest]))
    return parts
