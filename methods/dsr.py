"""DSR: dynamic sparse reparameterisation, one adaptive threshold for the whole network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.masks import CountedMasks, keep_largest
from ..benchmark.api.transfer import read
from .bases.dynamic import DynamicPruner
from .parts.allocation import distribute, global_masks, masks_by_count

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
    _threshold: float = field(init=False, repr=False, default=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._threshold = self.threshold

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
        goal = self.fraction(num_steps) * self._masks.num_kept
        masks = self._masks
        magnitudes = {name: self.magnitude(name) for name in masks}
        num_free = masks.num_total - masks.num_kept
        below, removed = select_small(magnitudes, dict(masks.items()), num_free, self._threshold)
        self._threshold = adapt(self._threshold, below, goal)
        surviving = {name: masks.counts[name] - removed.counts[name] for name in masks}
        grown = self._grow(num_steps, surviving, sum(removed.counts.values()))
        moved = {name: mask & ~removed[name] | grown[name] for name, mask in masks.items()}
        self.move(CountedMasks(moved, {name: surviving[name] + grown.counts[name] for name in masks}), optimizer)

    def _grow(self, num_steps: int, surviving: Mapping[str, int], total: int) -> CountedMasks:
        """Masks of `total` random free positions, shared over the layers by their numbers of surviving weights."""
        shares = [count / max(1, sum(surviving.values())) for count in surviving.values()]
        free = [mask.numel() - self._masks.counts[name] for name, mask in self._masks.items()]
        counts = dict(zip(surviving, distribute(total, shares, free), strict=True))
        scores = self.random_scores(f"growth after {num_steps} steps")
        return masks_by_count({n: s.masked_fill(self._masks[n], -torch.inf) for n, s in scores.items()}, counts)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "threshold": self._threshold}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._threshold = state["threshold"]


def select_small(
    magnitudes: Mapping[str, Tensor], masks: Mapping[str, Tensor], num_free: int, threshold: float
) -> tuple[int, CountedMasks]:
    """How many active weights are below the threshold, and masks (True = leaves) of those that are removed.

    The largest weight of each layer stays. Not more than `num_free` leave, the smallest first.
    """
    below = {}
    for name, magnitude in magnitudes.items():
        small = masks[name] & (magnitude < threshold)
        largest = keep_largest(magnitude.masked_fill(~masks[name], -torch.inf), min(1, magnitude.numel()))
        below[name] = small & ~largest
    small = _counted(below)
    count = sum(small.counts.values())
    if count <= num_free:
        return count, small
    ranks = {name: (-magnitudes[name]).masked_fill(~below[name], -torch.inf) for name in below}
    return count, _counted(global_masks(ranks, num_free))


def _counted(masks: Mapping[str, Tensor]) -> CountedMasks:
    return CountedMasks(masks, dict(zip(masks, read([mask.sum() for mask in masks.values()]), strict=True)))


def adapt(threshold: float, removed: int, goal: float) -> float:
    """Half the threshold if too much was removed, twice if too little."""
    if removed > (1.0 + TOLERANCE) * goal:
        return threshold / 2
    if removed < (1.0 - TOLERANCE) * goal:
        return threshold * 2
    return threshold
