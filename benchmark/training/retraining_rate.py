"""The first learning rate of a retraining, from what the pruning before it has done to the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def rate_factor(before: Sequence[Tensor], after: Sequence[Tensor], budget: float) -> float:
    """What `schedule: adaptive_linear` multiplies the recipe's rate by: ALLR of Zimmer et al., 2023 (arXiv 2111.00843).

    min(1, max(d1, d2)), where d1 = ||W - W'|| / (||W|| sqrt(s)), s is the share of the weights left that the pruning
    has removed, and d2 the `budget`: epochs of the retraining by those of the original training, 0 where these are not
    known. 1 where nothing was removed. The authors' code (ZIB-IOL/BIMP) takes the difference of the norms of all
    parameters, which is the same where pruning only sets weights to zero, and has a warm-up of a tenth of each
    retraining.

    Args:
        before, after: all prunable weights, W and W'.
    """
    left = removed = 0
    change = size = 0.0
    for old, new in zip(before, after, strict=True):
        left += int(old.count_nonzero())
        removed += int(((old != 0) & (new == 0)).sum())
        change += float((old - new).double().square().sum())
        size += float(old.double().square().sum())
    if removed == 0 or size == 0:
        return 1.0
    return min(1.0, max(math.sqrt(change / size / (removed / left)), budget))
