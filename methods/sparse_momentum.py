"""Sparse momentum: growth by the optimiser's momentum, with budgets that move between layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.masks import num_kept
from ..benchmark.api.transfer import send
from .bases.dynamic import DynamicPruner
from .parts.budgets_on_device import count, keep_number, share_out, total
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
        masks = dict(self._masks.items())
        counts = count(masks.values())
        shares = momentum_shares(momenta, masks, counts)
        drops = self._num_drops(counts, shares, self.fraction(num_steps))
        grows = drops
        if self.redistribution == "momentum":
            grows = share_out(drops.sum(), shares, self._sizes() - counts + drops)
        moved = {}
        for (name, mask), num_stay, num_grow in zip(masks.items(), counts - drops, grows, strict=True):
            kept = keep_number(self.magnitude(name).masked_fill(~mask, -torch.inf), num_stay)
            moved[name] = kept | keep_number(momenta[name].masked_fill(kept, -torch.inf), num_grow)
        self._masks.set(moved, num_kept(self._masks.num_total, self.sparsity))
        self.num_updates += 1

    def _sizes(self) -> Tensor:
        sizes = torch.tensor([mask.numel() for _, mask in self._masks.items()])
        return send(sizes, self.context.device)

    def _num_drops(self, counts: Tensor, shares: Tensor, fraction: float) -> Tensor:
        """How many weights each layer drops, never its last one."""
        layer_sparsity = 1.0 - counts.double() / self._sizes()
        is_bounded = (layer_sparsity < NEARLY_DENSE) & (shares * len(shares) > 1.0)
        fractions = torch.where(is_bounded, layer_sparsity.clamp(max=fraction), fraction)
        return torch.minimum((fractions * counts - 1e-9).ceil().long(), (counts - 1).clamp(min=0))


def momentum_shares(momenta: Mapping[str, Tensor], masks: Mapping[str, Tensor], counts: Tensor) -> Tensor:
    """Each layer's mean absolute momentum over its active weights, as a share of the sum over layers (float64).

    `counts`: how many weights each mask keeps. An empty layer has share 0; equal shares where nothing moves at all.
    """
    means = [_active_mean(momenta[name], masks[name], kept) for name, kept in zip(momenta, counts, strict=True)]
    stacked = torch.stack(means).double()
    whole = total(stacked)
    return torch.where(whole == 0.0, 1.0 / len(means), stacked / whole)


def _active_mean(momentum: Tensor, mask: Tensor, kept: Tensor) -> Tensor:
    if momentum.device.type == "cpu" and kept:
        return momentum[mask].mean()
    # How many numbers an index of booleans takes, the host would wait to know.
    return momentum.masked_fill(~mask, 0).sum() / kept.clamp(min=1)
