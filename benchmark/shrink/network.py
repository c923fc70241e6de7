"""A network made smaller, and the check that it computes what it did."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..api.errors import UserError
from ..api.sites import find_sites
from .heads import remove_dead_heads
from .low_rank import remove_dead_ranks
from .removal import remove_dead_channels

TOLERANCE = 1e-9
"""Largest difference of outputs in float64, as a share of the largest: rounding is smaller, any fault larger."""


class ChangedOutputs(UserError):
    """The smaller network does not compute what the masked one does, so it is given to nobody."""

    exit_code = 1


@dataclass(frozen=True)
class Shrunk:
    """A smaller network and what went.

    Attributes:
        removed: channels, heads or ranks that went, by the layer that wrote them.
        left: how many channels without weights, or heads that add nothing, are still there, with the reason.
        difference: largest one between an output before and after, for the example, before the
            smaller network is rounded from float64 to its own type.
    """

    network: nn.Module
    removed: Mapping[str, int]
    left: Mapping[str, tuple[int, str]]
    difference: float


def shrunk(network: nn.Module, masks: Mapping[str, Tensor], example: Tensor) -> nn.Module:
    """A plain module, smaller than the network, that computes in eval mode what the masked network does.

    The network is not changed. Equal means within rounding: no sum is computed in the same order as before.

    Args:
        masks: by site name, True = kept; sites without one keep what is not zero.
        example: a batch that the network takes, on its device.

    Raises:
        UserError: the network's graph cannot be traced, or ChangedOutputs: the outputs were to change.
    """
    return shrink(network, masks, example).network


def shrink(network: nn.Module, masks: Mapping[str, Tensor], example: Tensor) -> Shrunk:
    """As `shrunk`, with what went and what stayed. Raises what `shrunk` does.

    All is computed in float64 and rounded to the network's own type at the end.
    """
    dtype = next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.float32)
    masked, example = copy.deepcopy(network).eval().double(), _wide(example)
    sites = {site.name: site for site in find_sites(masked)}
    with torch.no_grad():
        for name, mask in masks.items():
            sites[name].weight.mul_(mask.to(sites[name].weight.device))
    small = copy.deepcopy(masked)
    ranks = remove_dead_ranks(small)
    channels, heads = remove_dead_channels(small, example), remove_dead_heads(small, example)
    with torch.no_grad():
        before, after = masked(example), small(example)
    difference, largest = float((before - after).abs().max()), float(before.abs().max())
    if not difference <= TOLERANCE * largest:
        raise ChangedOutputs(f"outputs of up to {largest:.2g} differ by {difference:.2g} after channels were removed")
    return Shrunk(
        small.to(dtype), {**channels.channels, **heads.channels, **ranks}, {**channels.left, **heads.left}, difference
    )


def _wide(example: Tensor) -> Tensor:
    return example.double() if example.is_floating_point() else example
