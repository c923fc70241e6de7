"""Exact masks of a layer's matrix: by rows, over the whole layer, or N of every M inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def keep_counts(scores: Tensor, counts: Sequence[int] | int) -> Tensor:
    """Mask of the counts[i] highest scores of row i, shape (rows, length); ties go to the first."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(scores.shape[1], device=scores.device).expand_as(order)
    ranks = torch.empty_like(order).scatter_(1, order, places)
    return ranks < torch.as_tensor(counts, device=scores.device).reshape(-1, 1)


def keep_by_rows(scores: Tensor, kept: int) -> Tensor:
    """Mask of `kept` entries, as many in every row, shape (groups, rows, inputs).

    Where the rows do not divide them evenly, all quotas have the same remainder, and the first rows keep one more.
    """
    num_rows = scores.shape[0] * scores.shape[1]
    base, extra = divmod(kept, num_rows)
    return keep_counts(scores.flatten(0, 1), [base + (row < extra) for row in range(num_rows)]).view_as(scores)


def keep_of_layer(scores: Tensor, kept: int) -> Tensor:
    """Mask of the `kept` highest scores of the layer."""
    return keep_counts(scores.reshape(1, -1), kept).view_as(scores)


def keep_n_of_m(scores: Tensor, n: int, m: int) -> Tensor:
    """Mask of the n highest of every m neighbours along the last axis, whose length is a multiple of m."""
    return keep_counts(scores.reshape(-1, m), n).view_as(scores)
