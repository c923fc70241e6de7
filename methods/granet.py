"""GraNet: gradual magnitude pruning that regrows by gradient what it drops."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.masks import num_kept
from ..benchmark.api.transfer import send
from .bases.score_pruner import ScorePruner
from .parts.allocation import layer_counts, masks_by_count
from .parts.budgets_on_device import count, keep_number
from .parts.optimizer_state import reset_positions
from .parts.schedule import Cubic, OneShot


@dataclass(kw_only=True)
class GraNet(ScorePruner):
    """Raise the sparsity, and replace a share of what is left at each event. Liu et al., 2021 (arXiv 2106.10404).

    Gradual pruning with zero-cost neuroregeneration (section 4, algorithm 1). After every 1000 steps the smallest
    weights of the network leave, as many as the cubic ramp asks for; then each layer drops the smallest share of its
    weights and grows as many where the gradient of that step is largest. The share falls from 0.5 to 0.005 by a cosine
    over the whole training, and layers go on replacing weights after the ramp. The defaults are those of the authors'
    code for CIFAR, where the ramp ends at epoch 110 of 160; for ImageNet it is `every: 4000, end: 0.3`. The network
    starts dense, or at random ERK masks: `initial_sparsity: 0.5`, the paper's sparse-to-sparse setting.

    Difference: counts are exact and by index. The authors' code compares with a threshold, which loses a weight or
    more, and reaches the sparsity at the last event before the end of the ramp.

    Options:
        begin, end: of the ramp, as fractions of the training.
        power: exponent of the ramp.
        initial_sparsity: where the ramp starts; above 0 the first masks are random, with ERK budgets.
        every: steps between events; 0: once an epoch.
        drop_fraction, final_drop_fraction: share of a layer's weights that an event replaces, annealed by a cosine from
            the first at the start of the training to the second at its end.
    """

    label: ClassVar[str] = "GraNet"
    family: ClassVar[str] = "dynamic"
    paper: ClassVar[str] = "arXiv 2106.10404"
    needs: ClassVar[str] = "dense gradients"
    schedules: ClassVar[Mapping[str, type[OneShot]]] = {"cubic": Cubic}
    search_space: ClassVar[dict[str, object]] = {
        "drop_fraction": {"low": 0.1, "high": 0.7},
        "end": {"low": 0.3, "high": 0.9},
    }

    start: Literal["trained", "init"] = "init"
    scope: Literal["global", "layerwise", "erk"] = field(init=False, default="global")
    minimum_threshold: Annotated[float, Field(ge=0, lt=100)] = field(init=False, default=0.0)
    minimum_threshold_mode: Literal["solve", "rescale", "protect"] = field(init=False, default="solve")
    schedule: Literal["cubic"] = "cubic"
    begin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    end: Annotated[float, Field(gt=0, le=1)] = 0.6875
    every: Annotated[int, Field(ge=0)] = 1000
    power: Annotated[float, Field(gt=0)] = 3.0
    initial_sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.5
    final_drop_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.final_drop_fraction > self.drop_fraction:
            raise ValueError(
                f"final_drop_fraction is {self.final_drop_fraction}; it must be at most drop_fraction, "
                f"{self.drop_fraction}"
            )

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs()

    def begin_round(self, index: int) -> None:
        if index == 0 and self.initial_sparsity > 0:
            scores = self._random_scores()
            counts = layer_counts(scores, self.initial_sparsity, "erk")
            assert counts is not None
            self._masks.set(masks_by_count(scores, counts))

    def _random_scores(self) -> dict[str, Tensor]:
        generator = self.context.generator("initial mask")
        sites = self._masks.sites.items()
        # float64: ties, which would favour low indices, are out of reach
        draws = {name: torch.rand(site.weight.shape, generator=generator, dtype=torch.float64) for name, site in sites}
        return {name: send(draw, self.context.device) for name, draw in draws.items()}

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        # the step comes first: an event sees the weights after it, and its gradient
        return False

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        self._masks.apply()
        assert self._events is not None
        num_steps, first, last = step + 1, self._events.first, self._events.last
        if step != last and (num_steps <= first or (num_steps - first) % self._events.interval):
            return
        sparsity = self.sparsity
        if step <= last:
            sparsity = self._schedule.at(self._events.progress(num_steps))
            self.prune_to(sparsity)
        self.regenerate(num_steps, sparsity, optimizer)

    def fraction(self, num_steps: int) -> float:
        """The share of its weights that a layer replaces after `num_steps` steps."""
        span = self.drop_fraction - self.final_drop_fraction
        progress = num_steps / self.context.total_steps
        return self.final_drop_fraction + span * 0.5 * (1.0 + math.cos(math.pi * progress))

    @torch.no_grad()
    def regenerate(self, num_steps: int, sparsity: float, optimizer: torch.optim.Optimizer) -> None:
        """Drop the smallest weights of each layer and grow as many of largest gradient; the network is at `sparsity`.

        A weight that is dropped and grown at once keeps its value, others that grow start from 0 without momentum.
        """
        masks = dict(self._masks.items())
        moved = {}
        for (name, mask), num_active in zip(masks.items(), count(masks.values()), strict=True):
            # ceil as in the authors' code; 1e-9: a product that is whole must not be rounded up
            num_drop = (self.fraction(num_steps) * num_active - 1e-9).ceil().long()
            weight = self._masks.sites[name].weight
            growth = torch.zeros_like(weight) if weight.grad is None else weight.grad.abs()
            self._masks.check_finite({name: growth})
            kept = keep_number(weight.detach().abs().masked_fill(~mask, -torch.inf), num_active - num_drop)
            moved[name] = kept | keep_number(growth.masked_fill(kept, -torch.inf), num_drop)
            reset_positions(optimizer, weight, moved[name] & ~mask)
        self._masks.set(moved, kept=num_kept(self._masks.num_total, sparsity))
