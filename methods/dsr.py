"""DSR: dynamic sparse reparameterisation, one adaptive threshold for the whole network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.masks import keep_largest, num_kept
from ..benchmark.api.pruner import Context
from ..benchmark.api.transfer import send
from .bases.dynamic import DynamicPruner
from .parts.allocation import global_masks
from .parts.budgets_on_device import count, keep_number, share_out, total
from .parts.optimizer_state import reset_positions

TOLERANCE = 0.1
"""The threshold moves when the number removed is off its goal by more than this share (authors' code)."""


@dataclass(kw_only=True)
class DSR(DynamicPruner):
    """Remove what is below one adaptive threshold, regrow at random by layer. Mostafa & Wang, 2019 (arXiv 1902.05967).

    All weights below the threshold leave, but never the last of a layer. More than 1.1 times the goal halves the
    threshold, less than 0.9 times doubles it. As many grow at free positions: layers share by their surviving
    weights, positions are random and not those just emptied. The period doubles with the training: the authors' times
    for WRN-28-2 are the defaults; theirs for ResNet-50 are `every: 1000, doublings: [0.25, 0.5, 0.75]`, with a goal of
    400 000: at 90 %, `drop_fraction: 0.176` and the same `final_drop_fraction`.

    Differences: their goal is a fixed number (20 000 for WRN-28-2), here a share of the kept weights that is the same
    number at 90 %, so that it makes sense for any network; where fewer positions are free than weights fall below the
    threshold, only the smallest leave. Their pruned weights have no gradient, so their momentum dies away; here it is
    cleared on return. Besides the first layer the authors leave dense, for WRN, the last one and the shortcuts:
    `dense: [last, shortcut]`; for ResNet-50 the shortcuts: `dense: [shortcut]`.

    Options:
        threshold: its value at the start.
        doublings: fractions of the training at which the period doubles.
    """

    label: ClassVar[str] = "DSR"
    paper: ClassVar[str] = "arXiv 1902.05967"
    needs: ClassVar[str] = "weights"
    search_space: ClassVar[dict[str, object]] = {
        "drop_fraction": {"low": 0.14, "high": 0.4},
        "threshold": {"low": 0.0001, "high": 0.01, "log": True},
    }

    distribution: Literal["uniform", "first_dense", "erk"] = "first_dense"
    drop_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.14
    final_drop_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.14
    end: Annotated[float, Field(gt=0, le=1)] = 0.95
    threshold: Annotated[float, Field(gt=0)] = 1e-3
    doublings: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.125, 0.4, 0.7)
    _threshold: Tensor = field(init=False, repr=False)

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._threshold = send(torch.tensor(self.threshold, dtype=torch.float64), context.device)
        return model

    def is_due(self, num_steps: int) -> bool:
        passed = sum(num_steps >= fraction * self.context.total_steps for fraction in self.doublings)
        interval = (self.every or self.context.steps_per_epoch) * 2**passed
        return num_steps < self.last_step and num_steps % interval == 0

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        super().on_weights(step, optimizer)
        if self.is_due(step + 1):
            self.update(step + 1, optimizer)

    def update(self, num_steps: int, optimizer: torch.optim.Optimizer) -> None:
        """Remove by the threshold, regrow elsewhere, adapt the threshold."""
        masks = dict(self._masks.items())
        kept = num_kept(self._masks.num_total, self.sparsity)
        below, removed = select_small(
            {name: self.magnitude(name) for name in masks}, masks, self._masks.num_total - kept, self._threshold
        )
        self._threshold = adapt(self._threshold, below, self.fraction(num_steps) * kept)
        surviving = {name: mask & ~removed[name] for name, mask in masks.items()}
        grown = self._grow(num_steps, count(surviving.values()), count(removed.values()).sum())
        for name, mask in grown.items():
            reset_positions(optimizer, self._masks.sites[name].weight, mask)
        self._masks.set({name: mask | grown[name] for name, mask in surviving.items()}, kept)
        self.num_updates += 1

    def _grow(self, num_steps: int, surviving: Tensor, number: Tensor) -> dict[str, Tensor]:
        """Masks of `number` random free positions, shared over the layers by their numbers of surviving weights."""
        free = count(~mask for _, mask in self._masks.items())
        counts = share_out(number, surviving.double() / total(surviving).clamp(min=1), free)
        scores = self.random_scores(f"growth after {num_steps} steps")
        masked = [score.masked_fill(self._masks[name], -torch.inf) for name, score in scores.items()]
        return {name: keep_number(*pair) for name, pair in zip(scores, zip(masked, counts, strict=True), strict=True)}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "threshold": self._threshold}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        # a number in checkpoints of earlier versions
        self._threshold = torch.as_tensor(state["threshold"]).to(self._threshold)


def select_small(
    magnitudes: Mapping[str, Tensor], masks: Mapping[str, Tensor], num_free: int, threshold: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """How many active weights are below the threshold, and masks (True = leaves) of those that are removed.

    The largest weight of each layer stays. Not more than `num_free` leave, the smallest first.
    """
    below = {}
    for name, magnitude in magnitudes.items():
        small = masks[name] & (magnitude < threshold)
        largest = keep_largest(magnitude.masked_fill(~masks[name], -torch.inf), min(1, magnitude.numel()))
        below[name] = small & ~largest
    number = count(below.values()).sum()
    if 2 * num_free >= sum(mask.numel() for mask in masks.values()):
        return number, below  # more are free than active
    ranks = {name: (-magnitudes[name]).masked_fill(~small, -torch.inf) for name, small in below.items()}
    smallest = global_masks(ranks, num_free)
    return number, {name: small & smallest[name] for name, small in below.items()}


def adapt(threshold: Tensor, removed: Tensor, goal: float) -> Tensor:
    """Half the threshold if too much was removed, twice if too little."""
    # compared as whole numbers, which float32 would round
    is_more, is_less = removed > math.floor((1.0 + TOLERANCE) * goal), removed < math.ceil((1.0 - TOLERANCE) * goal)
    return threshold * torch.where(is_more, 0.5, torch.where(is_less, 2.0, 1.0))
