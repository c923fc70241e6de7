"""GMP: gradual magnitude pruning, layer by layer, during training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ..benchmark.pruning import num_kept
from .allocation import apportion, masks_by_count
from .magnitude import GlobalMagnitude

DISTRIBUTIONS: tuple[str, ...] = ("uniform", "first_dense", "extended")
LAST_LAYER_DENSITY = 0.2
"""The share of the last layer that Gale's extended recipe keeps at least."""


@dataclass(kw_only=True)
class GradualMagnitude(GlobalMagnitude):
    """Remove the smallest weights of every layer, more and more during training. Zhu & Gupta, 2017 (arXiv 1710.01878).

    The cubic ramp from 0 is the paper's; an event every 100 steps is at the lower end of its 100 to 1000. Selection
    is exact and a pruned weight stays zero: the authors' code compares stored weights with a smoothed histogram
    threshold, which misses the count by a bin, and lets weights back in when the threshold falls.

    Options:
        distribution: with `scope: layerwise`, `uniform` (every layer at the sparsity), `first_dense` (the first layer
            whole and outside the sparsity), `extended` (Gale et al., arXiv 1902.09574: first layer whole, last layer
            keeps at least 20 %, one rate for the others, so that the sparsity holds over all layers).
    """

    label: ClassVar[str] = "GMP"
    family: ClassVar[str] = "gradual"
    paper: ClassVar[str] = "arXiv 1710.01878"

    start: Literal["trained", "init"] = "init"
    scope: Literal["global", "layerwise", "erk"] = "layerwise"
    schedule: Literal["one_shot", "cubic", "exponential"] = "cubic"
    every: int = 100
    distribution: Literal["uniform", "first_dense", "extended"] = "uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(f"distribution must be one of {', '.join(DISTRIBUTIONS)}, not {self.distribution!r}")
        if self.distribution != "uniform" and self.scope != "layerwise":
            raise ValueError(f"distribution: {self.distribution} needs scope: layerwise, not {self.scope}")
        if self.distribution == "extended" and self.minimum_threshold > 0:
            raise ValueError(f"distribution: extended takes no minimum_threshold, not {self.minimum_threshold}")
        if self.distribution == "first_dense":
            self.dense = ("first", *self.dense)

    def allocate(self, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        if self.distribution != "extended":
            return super().allocate(scores, sparsity)
        sizes = [score.numel() for score in scores.values()]
        counts = extended_counts(sizes, sparsity)
        return masks_by_count(scores, dict(zip(scores, counts, strict=True)))


def extended_counts(sizes: list[int], sparsity: float) -> list[int]:
    """Weights each layer keeps in Gale's extended recipe, num_kept(N, sparsity) in all.

    Raises ValueError for fewer than three layers, and where those in the middle cannot lose enough.
    """
    if len(sizes) < 3:
        raise ValueError(f"distribution: extended needs at least 3 layers, not {len(sizes)}")
    kept = num_kept(sum(sizes), sparsity)
    first, middle, last = sizes[0], sizes[1:-1], sizes[-1]
    removed = sum(sizes) - kept
    least = math.ceil(LAST_LAYER_DENSITY * last - 1e-9)
    rate = removed / (sum(middle) + last)
    removed_from_last = min(rate * last, last - least)
    rate = (removed - removed_from_last) / sum(middle)
    if rate > 1.0:
        raise ValueError(
            f"distribution: extended keeps the first layer ({first} weights) and {least} of the last, "
            f"more than the {kept} weights that sparsity {sparsity} leaves"
        )
    quotas = [float(first), *[(1.0 - rate) * size for size in middle], last - removed_from_last]
    return apportion(quotas, sizes, kept)
