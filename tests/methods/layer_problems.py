"""Single linear layers with given weights and inputs, pruned by a method, and what the removal costs."""

from __future__ import annotations

from itertools import combinations

import torch
from prunebench.benchmark.api.pruner import Context
from prunebench.methods.bases.layer_pruner import LayerPruner
from prunebench.methods.parts.least_squares import refit
from torch import Tensor, nn
from toys import prune_now, toy_context


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def correlated(samples: int, inputs: int, seed: int = 0) -> Tensor:
    """Inputs with strong correlations, where it matters which weights make up for which."""
    return random(samples, inputs, seed=seed) @ random(inputs, inputs, seed=seed + 1)


def linear(weight: Tensor) -> nn.Module:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return nn.Sequential(layer)


def layer_context(model: nn.Module, inputs: Tensor) -> Context:
    return toy_context(model, data=(inputs, torch.zeros(len(inputs), dtype=torch.long)), input_shape=inputs.shape[1:])


def pruned(pruner: LayerPruner, weight: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mask and new weights of a linear layer (outputs, inputs) of float64, on (samples, inputs)."""
    model = linear(weight)
    pruner.calibration_samples = len(inputs)  # type: ignore[attr-defined]
    masks = prune_now(pruner, layer_context(model, inputs))
    return masks["0.weight"], model[0].weight.detach()  # type: ignore[index]


def error(weight: Tensor, changed: Tensor, inputs: Tensor) -> float:
    """||X W^T - X W'^T||^2."""
    return float((inputs @ (weight - changed).T).square().sum())


def fitted(weight: Tensor, inputs: Tensor, mask: Tensor) -> Tensor:
    """The least-squares weights within a mask."""
    return refit(weight[None], (inputs.T @ inputs)[None], mask[None])[0]


def magnitude_mask(weight: Tensor, kept: int) -> Tensor:
    order = weight.abs().flatten().argsort(descending=True)
    return torch.zeros(weight.numel(), dtype=torch.bool).index_fill_(0, order[:kept], True).view_as(weight)


def least_error(weight: Tensor, inputs: Tensor, removed: int) -> float:
    """By trying all masks of a single row."""
    count = weight.shape[1]
    masks = [torch.ones(1, count, dtype=torch.bool).index_fill_(1, torch.tensor(gone), False)
             for gone in combinations(range(count), removed)]  # fmt: skip
    return min(error(weight, fitted(weight, inputs, mask), inputs) for mask in masks)
