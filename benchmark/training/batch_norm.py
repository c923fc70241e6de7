"""Statistics of batch norm, estimated anew for weights that were set and not trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..api.errors import UserError
from ..api.pruner import Batch
from ..runs.run import Recipe
from .evaluate import forward_precision


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The layers of batch norm that keep statistics."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def check_recalibration(model: nn.Module, recipe: Recipe) -> None:
    """Raises UserError for a recipe that recalibrates batch norm of a network that has none."""
    if recipe.recalibrate_bn and not batch_norms(model):
        raise UserError(f"recalibrate_bn is {recipe.recalibrate_bn}; the network has no batch norm with statistics")


@torch.no_grad()
def estimate_batch_norm(model: nn.Module, batches: Iterable[Batch], recipe: Recipe, device: torch.device) -> None:
    """Set the statistics of all batch-norm layers to their averages over the batches.

    Each batch counts by its number of samples. Modes and momenta of all modules are restored; nothing else changes,
    but for buffers that other kinds of layers write in training.
    """
    layers = batch_norms(model)
    if not layers:
        return
    modes = {module: module.training for module in model.modules()}
    momenta = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
    try:
        _average(model, layers, batches, recipe, device)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


def _average(
    model: nn.Module,
    layers: list[_BatchNorm],
    batches: Iterable[Batch],
    recipe: Recipe,
    device: torch.device,
) -> None:
    seen = 0
    for inputs, _ in batches:
        if len(inputs) < 2:
            # a last batch of one sample has no variance where its planes have one pixel
            continue
        seen += len(inputs)
        for layer in layers:
            layer.momentum = len(inputs) / seen
        with forward_precision(recipe, device):
            model(inputs)
    if not seen:
        raise UserError("statistics of batch norm need a batch of at least 2 samples")
