"""RigL: drop by magnitude, grow by gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from .bases.dynamic import DynamicPruner


@dataclass(kw_only=True)
class RigL(DynamicPruner):
    """Replace the smallest weights by those with the largest dense gradient. Evci et al., 2020 (arXiv 1911.11134).

    Every 100 steps until 75 % of the training, a share that falls from 0.3 to 0 by a cosine: the paper's values, in
    which an update takes the place of the optimiser's step and the first one is at step 0. Both budgets of the paper:
    `first_dense` (its uniform) and `erk`. Difference to the authors' code: no noise on the drop scores, with which
    inactive positions can win against active weights below 1e-5.
    """

    label: ClassVar[str] = "RigL"
    paper: ClassVar[str] = "arXiv 1911.11134"
    needs: ClassVar[str] = "dense gradients"
    search_space: ClassVar[dict[str, object]] = {
        "drop_fraction": {"low": 0.1, "high": 0.5},
        "every": {"low": 20, "high": 500, "log": True},
    }

    distribution: Literal["uniform", "first_dense", "erk"] = "first_dense"

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        if not self.is_due(step):
            return False
        self.replace(step, lambda name: self.gradient(name).abs(), optimizer)
        return True
