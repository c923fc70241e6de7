"""SAFE: sharpness-aware training under a penalty that draws the weights to a sparse point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.second_pass import SecondPass
from .bases.score_pruner import ScorePruner
from .parts.allocation import CountedScores
from .parts.batch_norm import renew_statistics

SMALLEST_NORM = 1e-12
"""Added to the norm of the gradients."""


@dataclass(kw_only=True)
class SAFE(ScorePruner, SecondPass):
    """Look for weights that are sparse and flat at once, by ADMM on a sharpness-aware loss. Lee et al., 2025.

    arXiv 2506.06866; compared with the authors' code (LOG-postech/safe-jax). Every step takes the gradient g of its
    batch, and then the gradient at w + rho g / ||g||. To this it adds lambda (w - z + u), where z is a sparse point and
    u the scaled dual variable. Every `every` steps, after the update, z becomes w + u with all but the largest weights
    set to zero, and u becomes w + u - z. lambda rises from 0 by half a cosine over the training. After the last step
    the smallest weights are removed and the statistics of batch norm are taken anew: there is no retraining, and until
    then the network is dense. A step costs two.

    The authors' defaults and their setting for ResNet-20 on CIFAR-10 (200 epochs, `penalty: 0.001`). Differences: the
    penalty acts on the weights that are pruned; in their code also on the scales of batch norm, towards their own
    former values. With several processes the second gradient is their mean too. Dropout draws anew in the second pass.
    As in the code, statistics of batch norm are those of the first pass. SAFE+, a projection by other scores than
    magnitude, is made for language models and is not here.

    Uncertain: method and settings were read in the authors' code, and not in the text of the paper.

    Options, besides those of ScorePruner:
        penalty: lambda at its highest.
        penalty_schedule: `cosine`, `linear` (both from 0) or `constant`.
        radius: rho, the length of the move to where the second gradient is taken.
        every: steps between updates of z and u.
        norm_samples: training samples for the statistics of batch norm after the pruning; 0: they stay.
    """

    label: ClassVar[str] = "SAFE"
    family: ClassVar[str] = "gradual"
    paper: ClassVar[str] = "arXiv 2506.06866"
    needs: ClassVar[str] = "gradients, two passes a step"
    search_space: ClassVar[dict[str, object]] = {
        "penalty": {"low": 1e-05, "high": 0.1, "log": True},
        "radius": [0.05, 0.1, 0.2],
    }

    start: Literal["trained", "init"] = "init"
    penalty: Annotated[float, Field(gt=0)] = 0.001
    penalty_schedule: Literal["cosine", "linear", "constant"] = "cosine"
    radius: Annotated[float, Field(gt=0)] = 0.1
    every: Annotated[int, Field(ge=1)] = 32
    norm_samples: Annotated[int, Field(ge=0)] = 10000
    _offset: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)
    """u - z. Each entry is of one of them: z is zero outside the support, and u within it."""
    _support: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)
    _before: list[tuple[Tensor, Tensor]] = field(init=False, repr=False, default_factory=list)

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs()

    def begin_round(self, index: int) -> None:
        """z is the projection of the weights, u is 0; nothing is pruned."""
        sites = self._masks.sites
        self._offset = {name: torch.zeros_like(site.weight) for name, site in sites.items()}
        self._support = {name: torch.zeros_like(site.weight, dtype=torch.bool) for name, site in sites.items()}
        self._project()
        for name, offset in self._offset.items():
            offset.masked_fill_(~self._support[name], 0)

    @torch.no_grad()
    def _project(self) -> None:
        """z becomes w + u with all but the largest set to zero, by the sparsity and the scope, and u the rest."""
        values = self._offset
        for name, site in self._masks.sites.items():
            values[name].masked_fill_(self._support.pop(name), 0).add_(site.weight)
        self._masks.check_finite(values)
        scores = CountedScores({name: value.abs() for name, value in values.items()}, lambda name: values[name].numel())
        self._support = dict(self.allocate(scores, self.sparsity))
        for name, value in values.items():
            value.copy_(torch.where(self._support[name], -value, value))

    @torch.no_grad()
    def move_weights(self) -> None:
        """Up along the gradients of all parameters, by `radius` in all."""
        moved = [(parameter, parameter.grad) for parameter in self.context.model.parameters()]
        steps = [(parameter, gradient) for parameter, gradient in moved if gradient is not None]
        kept = [*(parameter for parameter, _ in steps), *self.context.model.buffers()]
        self._before = [(tensor, tensor.detach().clone()) for tensor in kept]
        norm = torch.stack(torch._foreach_norm([gradient for _, gradient in steps])).norm()
        scale = self.radius / (norm + SMALLEST_NORM)
        for parameter, gradient in steps:
            parameter.addcmul_(gradient, scale)

    @torch.no_grad()
    def restore_weights(self) -> None:
        for tensor, value in self._before:
            tensor.copy_(value)
        self._before = []

    def strength(self, step: int) -> float:
        """lambda at a step."""
        progress = step / self.context.total_steps
        if self.penalty_schedule == "cosine":
            return self.penalty * (1 - math.cos(math.pi * progress)) / 2
        return self.penalty * (progress if self.penalty_schedule == "linear" else 1.0)

    @torch.no_grad()
    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        strength = self.strength(step)
        for name, site in self._masks.sites.items():
            if site.weight.grad is not None:
                site.weight.grad.add_(site.weight + self._offset[name], alpha=strength)
        return False

    @torch.no_grad()
    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        if step == self.context.total_steps - 1:
            self._offset, self._support = {}, {}
            self.prune_to(self.sparsity)
            if self.norm_samples:
                renew_statistics(self.context, self.norm_samples)
        elif step % self.every == self.every - 1:
            self._project()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "offset": dict(self._offset), "support": dict(self._support)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._offset, self._support = dict(state["offset"]), dict(state["support"])
