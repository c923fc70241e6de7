"""Exact selection by index: masks of the largest scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def keep_largest(scores: Tensor, kept: int) -> Tensor:
    """Mask of exactly `kept` entries with the largest scores; ties go to the lower index."""
    return keep_largest_of([scores], kept)[0]


def keep_largest_of(scores: Sequence[Tensor], kept: int) -> list[Tensor]:
    """Masks of exactly `kept` entries with the largest scores of all tensors together; ties go to the earlier entry.

    By index, never by threshold: on rounded or zero-inflated weights a threshold keeps or removes whole tie blocks.
    One copy of the scores is searched for the cut, then the ties at the cut are settled. The copy is of float32 or, if
    any score is, of float64: what overflows float32 would be one huge tie. A GPU is not waited for.

    Raises ValueError for a number that cannot be kept, TypeError for scores that are not floats: whole numbers above
    2**24 would tie in float32.
    """
    total = sum(score.numel() for score in scores)
    if not 0 <= kept <= total:
        raise ValueError(f"cannot keep {kept} of {total} weights")
    if kept in (0, total):
        return [torch.full(score.shape, kept > 0, dtype=torch.bool, device=score.device) for score in scores]
    scores = [score.detach() for score in scores]
    for score in scores:
        if not score.dtype.is_floating_point:
            raise TypeError(f"scores are {score.dtype}; they must be floats")
    dtype = torch.float64 if any(score.dtype == torch.float64 for score in scores) else torch.float32
    flat = _flat_copy(scores, total, dtype)
    if flat.device.type != "cpu":
        mask = _keep_without_waiting(flat, kept)
        return [part.view(score.shape) for part, score in zip(mask.split(_sizes(scores)), scores, strict=True)]
    cut = kth_largest(flat, kept)
    del flat  # as large as the network, and not needed any more
    masks = [(score.to(dtype) > cut).contiguous() for score in scores]
    missing = kept - sum(np.count_nonzero(mask.numpy()) for mask in masks)
    for mask, score in zip(masks, scores, strict=True):
        # There may be as many ties as weights: no more are looked for than needed.
        if missing == 0:
            break
        # numpy counts and finds booleans several times faster than torch
        chosen = torch.from_numpy(np.flatnonzero((score.to(dtype) == cut).numpy()))[:missing]
        mask.view(-1)[chosen] = True
        missing -= len(chosen)
    return masks


def _keep_without_waiting(flat: Tensor, kept: int) -> Tensor:
    """The same for one vector on a GPU, where the host knows neither the cut nor the number of ties."""
    cut = kth_largest(flat, kept)
    mask, ties = flat > cut, flat == cut
    missing = kept - mask.sum()
    return mask.logical_or_(ties.logical_and_(ties.cumsum(0) <= missing))


def _flat_copy(scores: Sequence[Tensor], total: int, dtype: torch.dtype) -> Tensor:
    flat = torch.empty(total, dtype=dtype, device=scores[0].device)
    for part, score in zip(flat.split(_sizes(scores)), scores, strict=True):
        part.view(score.shape).copy_(score)
    return flat


def _sizes(scores: Sequence[Tensor]) -> list[int]:
    return [score.numel() for score in scores]


def kth_largest(flat: Tensor, k: int) -> Tensor:
    """The k-th largest value, k >= 1. May reorder `flat`: on a CPU it is numpy's introselect in place.

    That is 10 to 30 times faster than torch's ways there (benchmark/perf/selection.py measures it). On a GPU it is a
    radix sort: `kthvalue` would run on one of its processors.
    """
    if flat.device.type == "cpu":
        values = (flat.to(torch.float32) if flat.dtype == torch.bfloat16 else flat).numpy()
        position = len(values) - k
        values.partition(position)
        return torch.as_tensor(np.asarray(values[position]), dtype=flat.dtype)
    return flat.sort().values[len(flat) - k]
