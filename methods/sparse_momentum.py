"""Sparse momentum: growth by the optimiser's momentum, with budgets that move between layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.masks import CountedMasks
from ..benchmark.api.transfer import read
from .bases.dynamic import DynamicPruner, drop_and_grow
from .parts.allocation import distribute
from .parts.optimizer_state import momentum, require_momentum

NEARLY_DENSE = 0.2
"""A layer less sparse than this that would still grow drops no larger share than its sparsity (authors' code)."""


@dataclass(kw_only=True)
class SparseMomentum(DynamicPruner):
    """Grow by momentum, and more in layers whose momentum is larger. Dettmers & Zettlemoyer, 2019 (arXiv 1907.04840).

    The authors' defaults: uniform start over all layers, an update after every epoch but the last, a share
    that falls from 0.5 to 0.005 by a cosine, momentum of grown weights kept. Differences: the first masks and the
    total are exact (theirs are drawn weight by weight, and a smoothed correction steers the total), a layer never
    loses its last weight, and may become dense (theirs stops at 99 %). `redistribution: none` keeps each layer's
    count; with `distribution: erk` that is the variant of the RigL paper, up to its update times (see `snfs`).

    Options:
        redistribution: `momentum` (layers gain or lose weights by their momentum) or `none`.
    """

    label: ClassVar[str] = "SM"
    paper: ClassVar[str] = "arXiv 1907.04840"
    needs: ClassVar[str] = "dense gradients"
    search_space: ClassVar[dict[str, object]] = {"drop_fraction": {"low": 0.1, "high": 0.7}}

    drop_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5
    final_drop_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.005
    every: Annotated[int, Field(ge=0)] = 0
    end: Annotated[float, Field(gt=0, le=1)] = 1.0
    redistribution: Literal["momentum", "none"] = "momentum"

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        require_momentum(optimizer, "sm")
        # At the first step of an epoch, and not at the last of the one before: the network is evaluated between them,
        # with the masks that it was trained with. Momentum and weights are the same; the gradient of this one step is
        # that of the masks before.
        if step > 0 and self.is_due(step):
            sites = self._masks.sites
            self.update(step, {name: momentum(optimizer, sites[name].weight).abs() for name in sites})
        return False

    def update(self, num_steps: int, momenta: Mapping[str, Tensor]) -> None:
        """One update from the absolute momentum of all layers."""
        self._masks.check_finite(momenta)
        counts = self._masks.counts
        shares = momentum_shares(momenta, dict(self._masks.items()), counts)
        drops = {name: self._num_drop(name, shares[name], self.fraction(num_steps)) for name in momenta}
        if self.redistribution == "none":
            grows = drops
        else:
            room = [self._masks[name].numel() - counts[name] + drops[name] for name in drops]
            grows = dict(zip(drops, distribute(sum(drops.values()), list(shares.values()), room), strict=True))
        masks = {
            name: drop_and_grow(mask, self.magnitude(name), momenta[name], counts[name] - drops[name], grows[name])
            for name, mask in self._masks.items()
        }
        self.move(CountedMasks(masks, {name: counts[name] - drops[name] + grows[name] for name in masks}), None)

    def _num_drop(self, name: str, share: float, fraction: float) -> int:
        kept, total = self._masks.counts[name], self._masks[name].numel()
        layer_sparsity = 1.0 - kept / total
        if layer_sparsity < NEARLY_DENSE and share * len(self._masks.sites) > 1.0:
            fraction = min(fraction, layer_sparsity)
        return min(math.ceil(fraction * kept - 1e-9), max(0, kept - 1))


def momentum_shares(
    momenta: Mapping[str, Tensor], masks: Mapping[str, Tensor], counts: Mapping[str, int]
) -> dict[str, float]:
    """Each layer's mean absolute momentum over its active weights, as a share of the sum over layers.

    `counts`: how many weights each mask keeps. An empty layer has share 0; equal shares where nothing moves at all.
    """
    active = [name for name in momenta if counts[name]]
    found = read([_active_mean(momenta[name], masks[name], counts[name]) for name in active])
    means = {**dict.fromkeys(momenta, 0.0), **dict(zip(active, found, strict=True))}
    total = sum(means.values())
    if total == 0.0:
        return dict.fromkeys(means, 1.0 / len(means))
    return {name: mean / total for name, mean in means.items()}


def _active_mean(momentum: Tensor, mask: Tensor, kept: int) -> Tensor:
    if momentum.device.type == "cpu":
        return momentum[mask].mean()
    # How many numbers an index of booleans takes, the host would wait to know.
    return momentum.masked_fill(~mask, 0).sum() / kept
