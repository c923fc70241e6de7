"""Uniform+: one sparsity for all layers but the first and the last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from ..benchmark.api.masks import num_kept
from .magnitude import GlobalMagnitude
from .parts.allocation import apportion, masks_by_count

LAST_LAYER_DENSITY = 0.2


@dataclass(kw_only=True)
class UniformPlusMagnitude(GlobalMagnitude):
    """Magnitude pruning with the first convolution dense and at least 20 % of the last layer kept. Gale et al., 2019.

    arXiv 1902.09574; the rates are solved for as in the code of LAMP, so that the sparsity holds over all layers, the
    dense first one included. As there, a first layer that is no convolution has the rate of the others: in an MLP it
    holds most of the weights. `schedule: cubic, start: init` makes it gradual, as in Gale et al.
    """

    label: ClassVar[str] = "Uniform+ MP"
    paper: ClassVar[str] = "arXiv 1902.09574"
    needs: ClassVar[str] = "weights"
    version: ClassVar[int] = 2
    search_space: ClassVar[dict[str, object]] = {}

    # Uniform+ fixes the budget of every layer
    scope: Literal["global", "layerwise", "erk"] = field(init=False, default="global")
    minimum_threshold: float = field(init=False, default=0.0)
    minimum_threshold_mode: Literal["solve", "rescale", "protect"] = field(init=False, default="solve")

    def check_sizes(self, sizes: Sequence[int]) -> None:
        uniform_plus_counts(sizes, self.sparsity)

    def allocate(self, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        sizes = [score.numel() for score in scores.values()]
        first = next(iter(scores.values()))
        counts = uniform_plus_counts(sizes, sparsity, first_dense=first.ndim > 2)
        return masks_by_count(scores, dict(zip(scores, counts, strict=True)))


def uniform_plus_counts(sizes: Sequence[int], sparsity: float, first_dense: bool = True) -> list[int]:
    """Weights kept of each layer, in traversal order; num_kept(N, sparsity) in all.

    Raises ValueError where the first layer, if it is dense, and a fifth of the last leave too little to remove.
    """
    whole = list(sizes[:1]) if first_dense else []
    others = sizes[len(whole) :]
    total = num_kept(sum(sizes), sparsity)
    last_kept = math.ceil(LAST_LAYER_DENSITY * sizes[-1] - 1e-9)
    kept = _share(others, total - sum(whole))
    if kept is None or (kept and kept[-1] < last_kept):
        kept = _share(others[:-1], total - sum(whole) - last_kept)
        kept = None if kept is None else [*kept, last_kept]
    if kept is None:
        dense = "the first layer and a fifth of the last are" if first_dense else "a fifth of the last layer is"
        raise ValueError(
            f"sparsity {sparsity} is too high for Uniform+: {dense} more than "
            f"the {total} of {sum(sizes)} weights that it leaves"
        )
    return [*whole, *kept]


def _share(sizes: Sequence[int], total: int) -> list[int] | None:
    """`total` weights at one density, at least one a layer where that is possible; None if there are too few."""
    if total < 0 or (total > 0 and not sizes):
        return None
    quotas = [size * total / sum(sizes) for size in sizes]
    return apportion(quotas, sizes, total, minimum=1 if total >= len(sizes) else 0)
