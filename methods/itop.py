"""SET and RigL in the settings with which ITOP has them explore: rare updates that move many weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from .bases.dynamic import DynamicPruner
from .set_evolution import SET


@dataclass(kw_only=True)
class SetItop(SET):
    """SET that explores: rare updates of half the weights, to the end of the training. Liu et al., 2021.

    In-time over-parameterisation (arXiv 2102.02887): a sparse training is as good as a dense one if it has used enough
    of all weights at some time, each long enough to be judged. The defaults are the authors' for CIFAR with batches of
    128: ERK budgets, an update after every 1500 steps, a share that falls from 0.5 to 0.005 by a cosine over the whole
    training. Results record the share of weights that were used at any time, R_s, as `explored` (for every method
    that has masks), and the table of multiply-adds shows it.

    Differences: counts are exact, where theirs are drawn weight by weight, and momentum of grown weights is cleared.
    """

    label: ClassVar[str] = "SET-ITOP"
    paper: ClassVar[str] = "arXiv 2102.02887"

    distribution: Literal["uniform", "first_dense", "erk"] = "erk"
    drop_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5
    final_drop_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.005
    every: Annotated[int, Field(ge=0)] = 1500
    end: Annotated[float, Field(gt=0, le=1)] = 1.0


@dataclass(kw_only=True)
class RigLItop(DynamicPruner):
    """RigL that explores: rarer updates of half the weights, to the end of the training. Liu et al., 2021.

    In-time over-parameterisation (arXiv 2102.02887), as in `set_itop`, with growth by gradient and an update after
    every 4000 steps, the authors' for CIFAR with batches of 128 and for ImageNet with two of 64. As in their code the
    mask moves after the optimiser's step, by the gradient of that step, where `rigl` puts the update in its place.
    """

    label: ClassVar[str] = "RigL-ITOP"
    paper: ClassVar[str] = "arXiv 2102.02887"
    needs: ClassVar[str] = "dense gradients"
    search_space: ClassVar[dict[str, object]] = {
        "drop_fraction": {"low": 0.1, "high": 0.7},
        "every": {"low": 20, "high": 5000, "log": True},
    }

    distribution: Literal["uniform", "first_dense", "erk"] = "erk"
    drop_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5
    final_drop_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.005
    every: Annotated[int, Field(ge=0)] = 4000
    end: Annotated[float, Field(gt=0, le=1)] = 1.0

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        super().on_weights(step, optimizer)
        if self.is_due(step + 1):
            self.replace(step + 1, lambda name: self.gradient(name).abs(), optimizer)
