"""Pruned networks made physically smaller: what is zero goes, with everything that depends on it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..api.sites import find_sites
from .low_rank import remove_dead_ranks
from .removal import remove_dead_channels


@dataclass(frozen=True)
class Shrunk:
    """A smaller network and what went.

    Attributes:
        removed: channels, or ranks, that went, by the layer that wrote them.
        left: filters without weights that are still there, with the reason.
    """

    network: nn.Module
    removed: Mapping[str, int]
    left: Mapping[str, tuple[int, str]]


def shrunk(network: nn.Module, masks: Mapping[str, Tensor], example: Tensor) -> nn.Module:
    """A plain module, smaller than the network, that computes in eval mode what the masked network does.

    The network is not changed. Equal means within rounding: no sum is computed in the same order as before.

    Args:
        masks: by site name, True = kept; sites without one keep what is not zero.
        example: a batch that the network takes, on its device.

    Raises:
        UserError: the network's graph cannot be traced, or Torch-Pruning is not installed.
    """
    return shrink(network, masks, example).network


def shrink(network: nn.Module, masks: Mapping[str, Tensor], example: Tensor) -> Shrunk:
    """As `shrunk`, with what went and what stayed. Raises RuntimeError if the outputs were to change."""
    masked = copy.deepcopy(network).eval()
    sites = {site.name: site for site in find_sites(masked)}
    with torch.no_grad():
        for name, mask in masks.items():
            sites[name].weight.mul_(mask.to(sites[name].weight.device))
    small = copy.deepcopy(masked)
    ranks = remove_dead_ranks(small)
    channels = remove_dead_channels(small, example)
    _check_equal(masked, small, example)
    return Shrunk(small, {**channels.channels, **ranks}, channels.left)


@torch.no_grad()
def _check_equal(masked: nn.Module, small: nn.Module, example: Tensor) -> None:
    """In float64, where rounding is far smaller than any fault."""
    wide = example.double() if example.is_floating_point() else example
    before, after = (copy.deepcopy(each).double()(wide) for each in (masked, small))
    if not torch.allclose(before, after, rtol=1e-5, atol=1e-5 * float(before.abs().max().clamp(min=1e-30))):
        worst = float((before - after).abs().max())
        raise RuntimeError(f"the smaller network's outputs differ by {worst}; the network is left as it is")
