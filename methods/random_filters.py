"""Random filters: what ranking whole filters must beat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .filter_norm import FilterL1


@dataclass(kw_only=True)
class RandomFilters(FilterL1):
    """Keep filters drawn at random, as many of each layer as `filter_l1` keeps; everything but the choice is the same.

    The draw is uniform without replacement and fixed by the run's seed.
    """

    label: ClassVar[str] = "Random filters"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control"
    needs: ClassVar[str] = "filters"

    # one ranking of random scores would only make the layers' shares random, too
    scope: Literal["layerwise", "global"] = field(init=False, default="layerwise")

    def channel_scores(self) -> list[Tensor]:
        generator = self.context.generator("random filters")
        return [torch.rand(group.size, generator=generator, dtype=torch.float64) for group in self._groups]
