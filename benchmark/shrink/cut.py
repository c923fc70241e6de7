"""Rows and columns of one layer removed, in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..api.channel_values import NORMS, is_depthwise


def cut(module: Any, axis: int, indices: Tensor) -> None:
    """Remove rows (axis 0) or columns (axis 1) of a convolution or linear layer, or entries of a batch norm."""
    is_norm = isinstance(module, NORMS)
    kept = torch.ones(module.num_features if is_norm else module.weight.shape[axis], dtype=torch.bool)
    kept[indices] = False
    names = ("weight",) if axis else ("weight", "bias", *(("running_mean", "running_var") if is_norm else ()))
    for name in names:
        tensor = getattr(module, name)
        if tensor is not None:
            where = kept.to(tensor.device)
            left = tensor.detach()[:, where] if axis else tensor.detach()[where]
            is_parameter = isinstance(tensor, nn.Parameter)
            setattr(module, name, nn.Parameter(left, tensor.requires_grad) if is_parameter else left)
    _set_size(module, axis, int(kept.sum()))


def _set_size(module: Any, axis: int, size: int) -> None:
    if isinstance(module, NORMS):
        module.num_features = size
    elif isinstance(module, nn.Linear):
        setattr(module, "in_features" if axis else "out_features", size)
    elif is_depthwise(module):  # a row is an input, too
        module.in_channels = module.out_channels = module.groups = size
    else:
        setattr(module, "in_channels" if axis else "out_channels", size)
