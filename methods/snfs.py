"""SNFS as the RigL authors compare it: growth by a running mean of dense gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from .bases.dynamic import DynamicPruner


@dataclass(kw_only=True)
class SNFS(DynamicPruner):
    """Grow where a running mean of the dense gradients is largest. Evci et al., 2020 (arXiv 1911.11134), after SNFS.

    Sparse Networks From Scratch (Dettmers & Zettlemoyer, arXiv 1907.04840) without its moving of budgets between
    layers: ERK budgets, RigL's update times and drop fractions, and a mean of its own with decay 0.9 that does not
    depend on the optimiser. The original algorithm is `sm`. The mask moves after the optimiser's step.

    Options:
        decay: of the running mean of gradients.
    """

    label: ClassVar[str] = "SNFS"
    paper: ClassVar[str] = "arXiv 1907.04840"
    needs: ClassVar[str] = "dense gradients"
    search_space: ClassVar[dict[str, object]] = {
        "drop_fraction": {"low": 0.1, "high": 0.5},
        "every": {"low": 20, "high": 500, "log": True},
        "decay": [0.5, 0.9, 0.99],
    }

    distribution: Literal["uniform", "first_dense", "erk"] = "erk"
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.9
    _means: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        for name in self._masks:
            gradient = self.gradient(name)
            if name not in self._means:
                self._means[name] = torch.zeros_like(gradient)
            self._means[name].lerp_(gradient, 1.0 - self.decay)
        return False

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        super().on_weights(step, optimizer)
        if self.is_due(step + 1):
            self.replace(step + 1, lambda name: self._means[name].abs(), optimizer)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "means": {name: mean.clone() for name, mean in self._means.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._means = {name: mean.to(self._masks[name].device) for name, mean in state["means"].items()}
