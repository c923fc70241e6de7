"""LAMP: layer-adaptive magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .bases.mask_pruner import MaskPruner


@dataclass(kw_only=True)
class Lamp(MaskPruner):
    """Rank by squared magnitude over the sum of the squares that are at least as large in the layer. Lee et al., 2021.

    arXiv 2010.07611. The largest weight of a layer scores 1, so no layer is emptied while as many weights are left as
    there are layers. One-shot by default; the paper prunes a fraction of the survivors a round and retrains between
    rounds, which is method `imp` with `ranking: lamp`. The authors' code subtracts float32 prefix sums, which cancel
    for the largest weights; here the sums run from the largest weight on, in float64.
    """

    label: ClassVar[str] = "LAMP"
    paper: ClassVar[str] = "arXiv 2010.07611"
    needs: ClassVar[str] = "weights"

    def score(self, name: str, weight: Tensor) -> Tensor:
        return lamp_scores(weight)


def lamp_scores(weight: Tensor) -> Tensor:
    """LAMP score of each weight of one layer, float64, shape of `weight`, in [0, 1]; zero weights score 0.

    Among equal magnitudes the later one counts as larger, as in a stable ascending sort.
    """
    # On the CPU: a GPU's parallel sums may differ in the last bit between two processes, and masks with them.
    squares = weight.detach().reshape(-1).cpu().double().square()
    ascending, order = squares.sort(stable=True)
    at_least = ascending.flip(0).cumsum(0).flip(0)
    ratios = torch.where(ascending > 0, ascending / at_least, 0.0)
    return torch.empty_like(ratios).scatter_(0, order, ratios).view(weight.shape).to(weight.device)
