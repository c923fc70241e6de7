"""The base class of dynamic sparse training: methods that drop weights and grow others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...benchmark.api.masks import CountedMasks, Masks, keep_largest
from ...benchmark.api.pruner import Context, Pruner
from ...benchmark.api.sites import Site
from ...benchmark.api.transfer import send
from ..parts.allocation import layer_counts, masks_by_count
from ..parts.dense_layers import select
from ..parts.maskable import check_maskable
from ..parts.optimizer_state import reset_positions


@dataclass(kw_only=True)
class DynamicPruner(Pruner):
    """Train a sparse network whose masks move; the number of weights kept is exact and never changes.

    Weights are zeroed after each step and gradients stay dense, so `parameter.grad` shows what a pruned weight would
    do. The first masks are drawn at random, per layer without replacement.

    Options:
        distribution: shares of the layers: `uniform` (each at the sparsity), `first_dense` (the first layer whole and
            outside the sparsity, the others uniform), `erk`.
        dense: layers left dense, by keyword (first, last, depthwise, shortcut) or name pattern.
        drop_fraction, final_drop_fraction: share of a layer's weights that is replaced in an update, annealed by a
            cosine from the first to the second; equal values keep it constant.
        every: steps between updates; 0: once an epoch. A training shorter than this has no update.
        end: updates stop at this fraction of the training.
    """

    family: ClassVar[str] = "dynamic"

    start: Literal["trained", "init"] = "init"
    distribution: Literal["uniform", "first_dense", "erk"] = "uniform"
    dense: tuple[str, ...] = ()
    drop_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    final_drop_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    every: Annotated[int, Field(ge=0)] = 100
    end: Annotated[float, Field(gt=0, le=1)] = 0.75
    num_updates: int = field(init=False, default=0)
    _masks: Masks = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.final_drop_fraction > self.drop_fraction:
            raise ValueError(
                f"final_drop_fraction is {self.final_drop_fraction}; it must be at most drop_fraction, "
                f"{self.drop_fraction}"
            )

    @property
    def masks(self) -> Masks:
        return self._masks

    @property
    def last_step(self) -> int:
        """No update happens at or after this step."""
        return round(self.end * self.context.total_steps)

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        check_maskable(model, self.choose_sites(sites))

    def choose_sites(self, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        """Those that are pruned."""
        return select(sites, ("first", *self.dense) if self.distribution == "first_dense" else self.dense)

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._masks = Masks(self.choose_sites(context.sites))
        return model

    def begin_round(self, index: int) -> None:
        if index > 0:
            return
        scores = self.random_scores("initial mask")
        counts = layer_counts(scores, self.sparsity, "erk" if self.distribution == "erk" else "layerwise")
        assert counts is not None
        self._masks.set(masks_by_count(scores, counts))

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        self._masks.apply()

    def is_due(self, num_steps: int) -> bool:
        """Whether masks move when `num_steps` steps of the training are done."""
        interval = self.every or self.context.steps_per_epoch
        return num_steps < self.last_step and num_steps % interval == 0

    def fraction(self, num_steps: int) -> float:
        """The share replaced in an update after `num_steps` steps: a cosine over the time of the updates."""
        progress = min(num_steps / max(1, self.last_step), 1.0)
        span = self.drop_fraction - self.final_drop_fraction
        return self.final_drop_fraction + span * 0.5 * (1.0 + math.cos(math.pi * progress))

    def random_scores(self, purpose: str) -> dict[str, Tensor]:
        """Uniform random numbers for all layers, the same on every device and process; a new draw for each purpose."""
        draw = self.random_draw(purpose)
        return {name: draw(name) for name in self._masks}

    def random_draw(self, purpose: str) -> Callable[[str], Tensor]:
        """The same, layer by layer, for a caller that asks in the order of the layers."""
        generator = self.context.generator(purpose)

        def draw(name: str) -> Tensor:
            weight = self._masks.sites[name].weight
            # float64: ties, which would favour low indices, are out of reach
            return send(torch.rand(weight.shape, generator=generator, dtype=torch.float64), weight.device)

        return draw

    def gradient(self, name: str) -> Tensor:
        """Dense gradient of a layer, averaged over processes; zeros where the loss does not depend on it."""
        weight = self._masks.sites[name].weight
        return torch.zeros_like(weight) if weight.grad is None else weight.grad

    def replace(self, num_steps: int, growth: Callable[[str], Tensor], optimizer: torch.optim.Optimizer) -> None:
        """Drop the smallest weights of each layer and grow as many where `growth` of its name is largest."""
        fraction = self.fraction(num_steps)
        masks = {}
        # Layer by layer: the scores of all together would be the size of the network.
        for name, mask in self._masks.items():
            scores = growth(name)
            self._masks.check_finite({name: scores})
            kept = self._masks.counts[name]
            num_drop = math.floor(fraction * kept + 1e-9)
            masks[name] = drop_and_grow(mask, self.magnitude(name), scores, kept - num_drop, num_drop)
        self.move(CountedMasks(masks, self._masks.counts), optimizer)

    def magnitude(self, name: str) -> Tensor:
        """Absolute values of a layer. Errors are those of `Masks.check_finite`."""
        magnitude = self._masks.sites[name].weight.detach().abs()
        self._masks.check_finite({name: magnitude})
        return magnitude

    def move(self, masks: Mapping[str, Tensor], optimizer: torch.optim.Optimizer | None) -> None:
        """Set new masks of the same total; with an optimiser, what it remembers of grown weights is cleared.

        A grown weight is 0. One that was dropped and grown in the same update keeps its value.
        """
        before = self._masks.num_kept
        for name, mask in masks.items():
            if optimizer is not None:
                reset_positions(optimizer, self._masks.sites[name].weight, mask & ~self._masks[name])
        self._masks.set(masks, kept=before)
        self.num_updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"masks": self._masks.state_dict(), "num_updates": self.num_updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._masks.load_state_dict(state["masks"])
        self.num_updates = state["num_updates"]


def drop_and_grow(mask: Tensor, magnitude: Tensor, growth: Tensor, num_stay: int, num_grow: int) -> Tensor:
    """The mask of a layer after one update.

    The `num_stay` active weights of largest magnitude stay; then the `num_grow` of largest `growth` come in, among
    all that were not kept: those just dropped may come back.
    """
    # Inactive positions are out of the ranking: noise on them, as in RigL's code, lets them win against tiny weights.
    kept = keep_largest(magnitude.masked_fill(~mask, -torch.inf), num_stay)
    grown = keep_largest(growth.masked_fill(kept, -torch.inf), num_grow)
    return kept | grown
