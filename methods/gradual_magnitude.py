"""GMP: gradual magnitude pruning, layer by layer, during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from .magnitude import GlobalMagnitude
from .parts.allocation import masks_by_count
from .uniform_plus import uniform_plus_counts


@dataclass(kw_only=True)
class GradualMagnitude(GlobalMagnitude):
    """Remove the smallest weights of every layer, more and more during training. Zhu & Gupta, 2017 (arXiv 1710.01878).

    The cubic ramp from 0 is the paper's; an event every 100 steps is at the lower end of its 100 to 1000. Selection
    is exact and a pruned weight stays zero: the authors' code compares stored weights with a smoothed histogram
    threshold, which misses the count by a bin, and lets weights back in when the threshold falls. It renews masks after
    a step's update; here an event is between the gradient and the update of the next step, with the same mask.

    Options:
        distribution: with `scope: layerwise`, `uniform` (every layer at the sparsity), `first_dense` (the first layer
            whole and outside the sparsity), `extended` (Gale et al., arXiv 1902.09574: first layer whole, of whatever
            kind it is, last layer keeps at least 20 %, one rate for the others, so that the sparsity holds over all
            layers).
    """

    label: ClassVar[str] = "GMP"
    family: ClassVar[str] = "gradual"
    paper: ClassVar[str] = "arXiv 1710.01878"
    search_space: ClassVar[dict[str, object]] = {"begin": {"low": 0.0, "high": 0.4}, "end": {"low": 0.5, "high": 0.95}}

    start: Literal["trained", "init"] = "init"
    scope: Literal["global", "layerwise", "erk"] = "layerwise"
    schedule: Literal["one_shot", "cubic", "exponential"] = "cubic"
    every: Annotated[int, Field(ge=0)] = 100
    distribution: Literal["uniform", "first_dense", "extended"] = "uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distribution != "uniform" and self.scope != "layerwise":
            raise ValueError(f"distribution: {self.distribution} needs scope: layerwise, not {self.scope}")
        if self.distribution == "extended" and self.minimum_threshold > 0:
            raise ValueError(f"distribution: extended takes no minimum_threshold, not {self.minimum_threshold}")
        if self.distribution == "first_dense":
            self.dense = ("first", *self.dense)

    def check_sizes(self, sizes: Sequence[int]) -> None:
        if self.distribution == "extended":
            uniform_plus_counts(sizes, self.sparsity)
        else:
            super().check_sizes(sizes)

    def allocate(self, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        if self.distribution != "extended":
            return super().allocate(scores, sparsity)
        sizes = [score.numel() for score in scores.values()]
        counts = uniform_plus_counts(sizes, sparsity)
        return masks_by_count(scores, dict(zip(scores, counts, strict=True)))
