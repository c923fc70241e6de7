"""What is known of channels before a network sees an input: a constant, or a value that varies.

In eval mode a filter without weights gives its bias everywhere, batch norm and activations turn that into another
constant, and a layer that reads only constants gives one. Nothing is estimated from inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Channels:
    """What a value of the graph holds along its channel axis.

    Attributes:
        axis: of the tensor.
        constants: float64, (channels,): what a channel is everywhere, NaN where it varies.
        ids: int64, (channels,): numbers of the channels; the same number, the same channel.
    """

    axis: int
    constants: Tensor
    ids: Tensor

    def having(self, constants: Tensor) -> Channels:
        """The same channels with other values."""
        return replace(self, constants=constants)


def layer_constants(layer: Any, inputs: Tensor) -> Tensor:
    """What a layer's outputs are, (rows,), NaN where they vary, from what its inputs are.

    An output is constant if its row has no weight on inputs that vary. Where a convolution pads, a constant that is not
    zero ends at the border, so for such a layer it counts as one that varies.
    """
    groups = getattr(layer, "groups", 1)
    weight = by_channel(layer.weight).double()
    weight = weight.unflatten(0, (groups, len(weight) // groups))  # (groups, rows, columns, places)
    known = inputs.view(groups, 1, weight.shape[2])
    if is_padded(layer):
        known = zeros_only(known)
    varies = (weight.ne(0).any(dim=3) & known.isnan()).any(dim=2)
    out = (weight.sum(dim=3) * known.nan_to_num()).sum(dim=2)
    if layer.bias is not None:
        out = out + layer.bias.detach().double().view(groups, weight.shape[1])
    return out.masked_fill(varies, torch.nan).flatten()


def by_channel(weight: Tensor) -> Tensor:
    """The weight of a convolution or of a linear layer as (rows, columns, places); a linear layer has one place."""
    return weight.detach().reshape(*weight.shape[:2], math.prod(weight.shape[2:]))


def is_padded(layer: nn.Module) -> bool:
    """Whether a layer surrounds its input with zeros."""
    padding = getattr(layer, "padding", 0)
    has_any = padding != "valid" if isinstance(padding, str) else padding not in (0, (0,), (0, 0), (0, 0, 0))
    return has_any and getattr(layer, "padding_mode", "zeros") == "zeros"


def is_depthwise(layer: Any) -> bool:
    """A convolution that passes each channel on by itself: as many groups as inputs and outputs."""
    groups = getattr(layer, "groups", 1)
    return groups > 1 and groups == layer.in_channels == layer.out_channels


def zeros_only(constants: Tensor) -> Tensor:
    """Where a border of zeros is added only a constant of zero stays one."""
    return constants.masked_fill(constants != 0, torch.nan)


def normalised(norm: Any, constants: Tensor) -> Tensor:
    """By the running statistics; a scale of zero gives the shift, whatever comes in. Without statistics all varies."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return torch.full_like(constants, torch.nan)
    out = (constants - mean.double()) / (variance.double() + norm.eps).sqrt()
    if norm.weight is None:
        return out
    return torch.where(norm.weight == 0, norm.bias.double(), out * norm.weight.double() + norm.bias.double())


def applied(node: fx.Node, constants: Tensor) -> Tensor:
    """An activation of the graph, of the constants; NaN stays NaN."""
    if node.op == "call_method":
        return getattr(constants.clone(), str(node.target))(*node.args[1:], **node.kwargs)
    assert callable(node.target)
    function: Callable[..., Tensor] = node.target
    return function(constants.clone(), *node.args[1:], **{k: v for k, v in node.kwargs.items() if k != "input"})


def is_whole_mean(module: Any) -> bool:
    """Whether a pooling averages values of the plane only, none of a border."""
    return not getattr(module, "ceil_mode", False) and getattr(module, "padding", 0) in (0, (0,), (0, 0))


def combined(name: str, first: Channels, second: Channels) -> Tensor:
    """Constants of a sum, where both parts are constant; of a product also where one is zero."""
    a, b = first.constants, second.constants
    return torch.where((a == 0) | (b == 0), 0.0, a * b) if name == "mul" else a + b


def concatenated(parts: Sequence[Channels], axis: Any) -> Channels | None:
    """None along another axis than that of the channels."""
    if any(part.axis != axis for part in parts):
        return None
    return Channels(axis, torch.cat([part.constants for part in parts]), torch.cat([part.ids for part in parts]))


def dimensions(node: fx.Node, rank: int) -> set[int]:
    """The axes over which a node takes the mean."""
    argument: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    axes = range(rank) if argument is None else [argument] if isinstance(argument, int) else argument
    return {axis % rank for axis in axes}


def flattened(value: Channels, before: torch.Size, after: torch.Size) -> Channels | None:
    """All but the batch in one axis: each channel takes as many columns as it has pixels."""
    if value.axis != 1 or len(after) != 2 or before[0] != after[0]:
        return None
    repeats = after[1] // before[1]
    return Channels(1, value.constants.repeat_interleave(repeats), value.ids.repeat_interleave(repeats))
