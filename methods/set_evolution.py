"""SET: sparse evolutionary training, growth at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from .bases.dynamic import DynamicPruner


@dataclass(kw_only=True)
class SET(DynamicPruner):
    """Replace the smallest weights of each layer by random ones. Mocanu et al., 2018 (arXiv 1707.04780).

    In the form in which the RigL authors compare it: smallest magnitude instead of smallest positive and largest
    negative values, budgets `first_dense` or `erk`, every 100 steps instead of every epoch, counts exact instead of
    Bernoulli. The drop fraction 0.3 is the paper's; its constant course is `final_drop_fraction: 0.3`, here a cosine
    brings it to 0. The mask moves after the optimiser's step.
    """

    label: ClassVar[str] = "SET"
    paper: ClassVar[str] = "arXiv 1707.04780"
    needs: ClassVar[str] = "weights"
    search_space: ClassVar[dict[str, object]] = {
        "drop_fraction": {"low": 0.1, "high": 0.5},
        "every": {"low": 20, "high": 500, "log": True},
    }

    distribution: Literal["uniform", "first_dense", "erk"] = "first_dense"

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        super().on_weights(step, optimizer)
        if self.is_due(step + 1):
            self.replace(step + 1, self.random_draw(f"growth after {step + 1} steps"), optimizer)
