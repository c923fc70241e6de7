"""Methods that choose their masks once, before the first step, by a rule of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...benchmark.api.masks import Masks
from ...benchmark.api.pruner import Context, Pruner
from ...benchmark.api.sites import Site
from ..parts.maskable import check_maskable


@dataclass(kw_only=True)
class FixedMask(Pruner, ABC):
    """Masks that are chosen in round 0 and hold to the end; a subclass says over which sites, and what they are."""

    _masks: Masks = field(init=False, repr=False)

    def choose_sites(self, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        """The sites that are masked and counted; all of them unless a method says otherwise."""
        return sites

    @abstractmethod
    def choose_masks(self) -> Mapping[str, Tensor]:
        """The masks of the sites by name, True = kept. Weights may be changed here; what is pruned is zeroed after."""

    @property
    def masks(self) -> Masks:
        return self._masks

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        check_maskable(model, self.choose_sites(sites))

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._masks = Masks(self.choose_sites(context.sites))
        return model

    def begin_round(self, index: int) -> None:
        if index == 0:
            self._masks.set(self.choose_masks())

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        self._masks.apply()

    def state_dict(self) -> dict[str, Any]:
        return {"masks": self._masks.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._masks.load_state_dict(state["masks"])
