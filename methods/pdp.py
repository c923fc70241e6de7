"""PDP: soft masks that are a function of the weights, without parameters of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.masks import Masks, kth_largest, num_kept
from ..benchmark.api.pruner import Context
from ..benchmark.api.sites import Site
from .bases.score_pruner import ScorePruner
from .parts.allocation import CountedScores
from .parts.budgets_on_device import count, keep_number
from .parts.dense_layers import select
from .parts.maskable import check_parametrisable
from .parts.schedule import Events, events
from .parts.straight_through import materialise, parametrise, shadow


class SoftMask(nn.Module):
    """Parametrisation w * m(w) with m(w) = e^(w^2 / tau) / (e^(w^2 / tau) + e^(t^2 / tau)), times the hard mask."""

    squared_threshold: Tensor

    def __init__(self, masks: Masks, name: str, temperature: float, device: torch.device) -> None:
        super().__init__()
        self._masks, self._name, self._temperature = masks, name, temperature
        # -inf: m(w) is 1
        self.register_buffer("squared_threshold", torch.full((), -torch.inf, device=device))

    def forward(self, weight: Tensor) -> Tensor:
        soft = torch.sigmoid((weight.square() - self.squared_threshold) / self._temperature)
        return weight * soft * self._masks[self._name]


@dataclass(kw_only=True)
class PDP(ScorePruner):
    """Multiply each weight by a soft mask of itself that hardens by training. Cho et al., 2023 (arXiv 2305.11203).

    Parameter-free differentiable pruning. A layer computes with w m(w), where m(w) = 1 / (1 + e^((t^2 - w^2) / tau)) is
    one half at the threshold t, half-way between the smallest weight that is to stay and the largest that is to leave.
    The gradient goes through w and m(w), so weights near the threshold are driven to one side or back. Training is
    dense to `begin`. Then the budgets of the layers are fixed by the largest weights of the network, and the share
    that is to leave rises in a straight line to `end`; t is found anew after every step. After the last step the
    weights below t become zero and the others plain weights, so the counts are exact; until then nothing is pruned,
    and the densities of earlier epochs say so. The defaults are 16 epochs of dense training, 1.5 % more of the target
    in each epoch and tau = 1e-4, of 100 epochs on ImageNet. tau has the size of a squared weight: where weights are
    large, masks are hard from the start, and gradients of masked weights vanish.

    Uncertain: neither the paper's text nor code of the authors could be read. The mask is that of two independent
    implementations, the threshold that of one of them; budgets and defaults are those of the other, which refers to the
    paper's appendix. It is not known whether t is renewed in every step or once an epoch (`every: 0`), whether the ramp
    rises by epochs, and whether weights that stay end as w or as w m(w).

    Options:
        temperature: tau; towards 0 the masks become hard.
        begin, end: of the ramp, as fractions of the training.
        every: steps between new thresholds; 0: once an epoch.
    """

    label: ClassVar[str] = "PDP"
    family: ClassVar[str] = "gradual"
    paper: ClassVar[str] = "arXiv 2305.11203"
    needs: ClassVar[str] = "gradients"
    search_space: ClassVar[dict[str, object]] = {
        "temperature": {"low": 1e-5, "high": 1e-2, "log": True},
        "begin": {"low": 0.0, "high": 0.3},
    }

    start: Literal["trained", "init"] = "init"
    temperature: Annotated[float, Field(gt=0)] = 1e-4
    begin: Annotated[float, Field(ge=0, lt=1)] = 0.16
    end: Annotated[float, Field(gt=0, le=1)] = 0.83
    every: Annotated[int, Field(ge=0)] = 1
    _ramp: Events = field(init=False, repr=False)
    _budgets: Tensor | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.begin >= self.end:
            raise ValueError(f"begin is {self.begin}; it must be less than end, {self.end}")

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        super().check_sites(model, sites)
        check_parametrisable(select(sites, self.dense))

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self.check_budget()
        self._ramp = events(context.total_steps, context.steps_per_epoch, self.begin, self.end, self.every)
        for name, site in self._masks.sites.items():
            parametrise(site, SoftMask(self._masks, name, self.temperature, shadow(site).device))
        return model

    def begin_round(self, index: int) -> None:
        """The network starts dense."""

    def score(self, name: str, weight: Tensor) -> Tensor:
        # the weight itself is the softly masked one
        return shadow(self._masks.sites[name]).detach().abs()

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        return False

    @torch.no_grad()
    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        if step == self.context.total_steps - 1:
            self.harden()
        elif step >= self._ramp.first and (step - self._ramp.first) % self._ramp.interval == 0:
            self.move_thresholds(self._ramp.progress(step))

    @property
    def held_masks(self) -> Masks | None:
        """All weights move, up to the last step."""
        return None

    def budgets(self) -> Tensor:
        """How many weights each layer keeps in the end (int64), decided when this is first asked."""
        if self._budgets is None:
            scores = CountedScores(self.scores(), lambda name: self._masks[name].numel())
            self._budgets = count(self.allocate(scores, self.sparsity).values())
        return self._budgets

    def move_thresholds(self, progress: float) -> None:
        """New thresholds for `progress` of what is to leave each layer."""
        for name, budget in zip(self._masks, self.budgets(), strict=True):
            magnitude = self._magnitude(name)
            size = magnitude.numel()
            kept = size - (progress * (size - budget) + 1e-9).floor().long()
            squared = threshold(magnitude, kept).square().masked_fill(kept == size, -torch.inf)
            self._soft_mask(name).squared_threshold.copy_(squared)

    def harden(self) -> None:
        """Prune for good: the largest weights of each layer stay, as they are."""
        budgets = zip(self._masks, self.budgets(), strict=True)
        masks = {name: keep_number(self._magnitude(name), budget) for name, budget in budgets}
        self._masks.set(masks, kept=num_kept(self._masks.num_total, self.sparsity))
        for name in masks:
            self._soft_mask(name).squared_threshold.fill_(-torch.inf)

    def _magnitude(self, name: str) -> Tensor:
        """Of one layer at a time: those of all would be the size of the network."""
        magnitude = shadow(self._masks.sites[name]).detach().abs()
        self._masks.check_finite({name: magnitude})
        return magnitude

    def _soft_mask(self, name: str) -> SoftMask:
        site = self._masks.sites[name]
        return site.module.parametrizations[site.attribute][0]  # pyright: ignore

    def detach(self) -> None:
        materialise(list(self._masks.sites.values()))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "budgets": self._budgets}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._budgets = None if state["budgets"] is None else state["budgets"].to(self.context.device)


def threshold(magnitude: Tensor, kept: Tensor) -> Tensor:
    """Half-way between the kept-th largest entry and the next one; `kept` is a number on the device."""
    size = magnitude.numel()
    if magnitude.device.type == "cpu":
        flat, number = magnitude.flatten().clone(), int(kept)
        return (kth_largest(flat, max(1, number)) + kth_largest(flat, min(size, number + 1))) / 2
    ranked = magnitude.flatten().sort(descending=True).values
    places = torch.stack((kept - 1, kept)).clamp(0, size - 1)
    return ranked.index_select(0, places).mean()
