"""Statistics of batch norm for weights that were pruned after the last training step."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from ...benchmark.api.pruner import Context

BATCH_SIZE = 128


@torch.no_grad()
def renew_statistics(context: Context, num_samples: int) -> None:
    """Set the running statistics of all batch-norm layers to their averages over training samples.

    Each batch counts by its number of samples. Modes and momenta are restored; a network without such layers is left
    as it is. With several processes all of them have the mean of what each has seen.
    """
    layers = [m for m in context.model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    modes = {module: module.training for module in context.model.modules()}
    momenta = [layer.momentum for layer in layers]
    context.model.eval()
    seen = 0
    for layer in layers:
        layer.train()
    for inputs, _ in context.samples(num_samples, BATCH_SIZE * context.num_ranks):
        seen += len(inputs)
        for layer in layers:
            layer.momentum = len(inputs) / seen
        context.model(inputs)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        for statistic in (layer.running_mean, layer.running_var):
            assert statistic is not None
            context.reduce(statistic).div_(context.num_ranks)
    for module, training in modes.items():
        module.training = training
