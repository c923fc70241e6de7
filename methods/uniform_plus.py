"""Uniform+: one sparsity for all layers but the first and the last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..benchmark.pruning import num_kept
from .allocation import apportion, masks_by_count
from .magnitude import GlobalMagnitude

LAST_LAYER_DENSITY = 0.2


@dataclass(kw_only=True)
class UniformPlusMagnitude(GlobalMagnitude):
    """Magnitude pruning with the first layer dense and at least 20 % of the last kept. Gale et al., 2019.

    arXiv 1902.09574; the rates are solved for as in the code of LAMP, so that the sparsity holds over all layers, the
    dense first one included. `schedule: cubic, start: init` makes it gradual, as in Gale et al.
    """

    label: ClassVar[str] = "Uniform+ MP"
    paper: ClassVar[str] = "arXiv 1902.09574"
    needs: ClassVar[str] = "weights"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse_changed(("scope", "minimum_threshold"), "has no effect: Uniform+ fixes the budget of every layer")

    def allocate(self, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        sizes = [score.numel() for score in scores.values()]
        counts = uniform_plus_counts(sizes, sparsity)
        return masks_by_count(scores, dict(zip(scores, counts, strict=True)))


def uniform_plus_counts(sizes: Sequence[int], sparsity: float) -> list[int]:
    """Weights kept of each layer, in traversal order; num_kept(N, sparsity) in all.

    Raises ValueError where the first layer and a fifth of the last leave too little to remove.
    """
    total = num_kept(sum(sizes), sparsity)
    removed = sum(sizes) - total
    kept = [float(size) for size in sizes]
    shared = list(range(1, len(sizes)))
    last_kept = math.ceil(LAST_LAYER_DENSITY * sizes[-1] - 1e-9)
    if shared and sizes[-1] * (1 - removed / sum(sizes[1:])) < last_kept:
        shared.pop()
        kept[-1] = last_kept
        removed -= sizes[-1] - last_kept
    room = sum(sizes[i] for i in shared)
    if removed > room:
        most = sum(sizes) - total - removed + room
        raise ValueError(
            f"sparsity {sparsity} is too high for Uniform+: with the first layer dense and a fifth of the last, "
            f"at most {most} of {sum(sizes)} weights can be removed"
        )
    for i in shared:
        kept[i] = sizes[i] * (1 - removed / room)
    return apportion(kept, sizes, total, minimum=1 if total >= len(sizes) else 0)
