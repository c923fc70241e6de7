"""Batch norm over the batches of all processes, on any device.

torch's own needs a GPU and is no subclass of BatchNorm2d, which methods look for. This one consists of a few plain
operations: slower than torch's on a GPU, and equal, up to rounding, to one process with the whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from . import distributed


def synchronize(model: nn.Module) -> nn.Module:
    """Change all batch-norm layers of a network in place; parameters, buffers and names stay."""
    for module in model.modules():
        synced = _SYNCED.get(type(module))
        if synced is not None:
            module.__class__ = synced
    return model


class _Synced(_BatchNorm):
    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not distributed.is_active():
            return super().forward(input)
        values = input.float()
        dimensions = [0, *range(2, input.dim())]
        count = distributed.total(torch.tensor(float(input.numel() // input.shape[1]), device=input.device))
        # In two passes, because the mean of squares minus the squared mean loses digits.
        mean = all_reduce(values.sum(dimensions)) / count
        centred = values - _as_channels(mean, input)
        variance = all_reduce(centred.square().sum(dimensions)) / count
        self._update(mean.detach(), variance.detach() * count / (count - 1))
        normalised = centred * _as_channels((variance + self.eps).rsqrt(), input)
        if self.affine:
            normalised = normalised * _as_channels(self.weight, input) + _as_channels(self.bias, input)
        return normalised.to(input.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        # momentum None asks for the plain average over all batches
        factor = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, factor)
        self.running_var.lerp_(variance, factor)


def _as_channels(vector: Tensor, like: Tensor) -> Tensor:
    """(channels) as (1, channels, 1, ...)."""
    return vector.view(1, -1, *[1] * (like.dim() - 2))


class _Synced1d(_Synced, nn.BatchNorm1d):
    pass


class _Synced2d(_Synced, nn.BatchNorm2d):
    pass


class _Synced3d(_Synced, nn.BatchNorm3d):
    pass


_SYNCED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: _Synced1d,
    nn.BatchNorm2d: _Synced2d,
    nn.BatchNorm3d: _Synced3d,
}
