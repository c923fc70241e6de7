"""Random pruning, the control that every method must beat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .bases.mask_pruner import MaskPruner


@dataclass(kw_only=True)
class RandomPruning(MaskPruner):
    """Remove weights drawn uniformly without replacement; counts are exact, not Bernoulli.

    `scope` decides the layers' shares: layerwise (default), global (one draw over the network), erk. The weights are
    those of the trained network unless `start: init`. The draw is fixed by the run's seed.
    """

    label: ClassVar[str] = "Random"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control"
    needs: ClassVar[str] = "nothing"

    scope: Literal["global", "layerwise", "erk"] = "layerwise"
    _generator: torch.Generator = field(init=False, repr=False)

    def prepare_scores(self) -> None:
        self._generator = self.context.generator("random scores")

    def score(self, name: str, weight: Tensor) -> Tensor:
        # On the CPU whatever the device is: the same seed gives the same mask everywhere. In float64, so that ties
        # do not favour low indices.
        return torch.rand(weight.shape, generator=self._generator, dtype=torch.float64).to(weight.device)
