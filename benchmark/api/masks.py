"""Masks over the prunable layers of a network, and exact counts of what they keep.

This is the vocabulary that `methods/` and `datasets/` may import. Words: `mask` (True = kept), `density`
(fraction kept), `sparsity` (fraction removed), `score` (high = kept).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from .sites import PRUNABLE_LAYERS as PRUNABLE_LAYERS
from .sites import RECURRENT_LAYERS as RECURRENT_LAYERS
from .sites import Site as Site
from .sites import find_sites as find_sites


def num_kept(total: int, sparsity: float) -> int:
    """Weights left of `total` at `sparsity`: total - floor(sparsity * total).

    The 1e-9 corrects products such as 0.29 * 100 = 28.999999999999996, whose floor would be 28.
    """
    return total - math.floor(sparsity * total + 1e-9)


def check_finite(scores: Mapping[str, Tensor]) -> None:
    """Scores must be finite floats: NaN ranks as the largest value, and a boolean cannot rank below its zeros.

    Raises TypeError for scores of another kind, FloatingPointError for NaN and infinity, naming the layer.
    """
    for name, score in scores.items():
        if not score.dtype.is_floating_point:
            raise TypeError(f"scores of layer {name!r} are {score.dtype}; they must be floats, such as score.float()")
        if not torch.isfinite(score).all():
            bad = int((~torch.isfinite(score)).sum())
            raise FloatingPointError(f"{bad} of {score.numel()} scores of layer {name!r} are not finite")


def keep_largest(scores: Tensor, kept: int) -> Tensor:
    """Mask of exactly `kept` entries with the largest scores; ties go to the lower index."""
    return keep_largest_of([scores], kept)[0]


def keep_largest_of(scores: Sequence[Tensor], kept: int) -> list[Tensor]:
    """Masks of exactly `kept` entries with the largest scores of all tensors together; ties go to the earlier entry.

    By index, never by threshold: on rounded or zero-inflated weights a threshold keeps or removes whole tie blocks.
    Linear-time selection finds the cut in one copy of the scores, then only the ties at the cut are settled. The copy
    is of float32 or, if any score is, of float64: what overflows float32 would be one huge tie.

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
    cut = kth_largest(_flat_copy(scores, total, dtype), kept)
    masks = [(score.to(dtype) > cut).contiguous() for score in scores]
    missing = kept - sum(_count(mask) for mask in masks)
    for mask, score in zip(masks, scores, strict=True):
        # There may be as many ties as weights: no more are looked for than needed.
        if missing == 0:
            break
        chosen = _positions((score.to(dtype) == cut).reshape(-1))[:missing]
        mask.view(-1)[chosen] = True
        missing -= len(chosen)
    return masks


def _flat_copy(scores: Sequence[Tensor], total: int, dtype: torch.dtype) -> Tensor:
    flat = torch.empty(total, dtype=dtype, device=scores[0].device)
    for part, score in zip(flat.split([score.numel() for score in scores]), scores, strict=True):
        part.view(score.shape).copy_(score)
    return flat


def kth_largest(flat: Tensor, k: int) -> Tensor:
    """The k-th largest value, k >= 1. May reorder `flat`: on a CPU it is numpy's introselect in place.

    That is 10 to 30 times faster than torch's ways there (benchmark/perf/selection.py measures it).
    """
    if flat.device.type == "cpu":
        values = (flat.to(torch.float32) if flat.dtype == torch.bfloat16 else flat).numpy()
        position = len(values) - k
        values.partition(position)
        return torch.as_tensor(np.asarray(values[position]), dtype=flat.dtype)
    return flat.kthvalue(flat.numel() - k + 1).values


def _count(mask: Tensor) -> int:
    # numpy counts and finds booleans several times faster than torch on a CPU
    return int(np.count_nonzero(mask.numpy())) if mask.device.type == "cpu" else int(mask.sum())


def _positions(mask: Tensor) -> Tensor:
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.nonzero().squeeze(1)


class Masks:
    """The boolean masks of a network's sites and their upkeep during training.

    `apply` multiplies the weights by the masks with one foreach call: exact under momentum, weight decay and Adam,
    at well under 1 % of a training step for usual networks.
    """

    def __init__(self, sites: Iterable[Site]) -> None:
        self.sites = {site.name: site for site in sites}
        self._masks = {name: torch.ones_like(site.weight, dtype=torch.bool) for name, site in self.sites.items()}
        self._factors: list[Tensor] | None = None

    def __getitem__(self, name: str) -> Tensor:
        return self._masks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def items(self) -> Iterable[tuple[str, Tensor]]:
        return self._masks.items()

    @torch.no_grad()
    def set(self, masks: Mapping[str, Tensor]) -> None:
        """Replace the masks of the named sites (the others stay) and zero what they remove."""
        for name, mask in masks.items():
            if mask.shape != self._masks[name].shape or mask.dtype != torch.bool:
                raise ValueError(
                    f"mask of {name!r} must be bool of shape {tuple(self._masks[name].shape)}, "
                    f"not {mask.dtype} of {tuple(mask.shape)}"
                )
            # In place: a captured step goes on reading there, and strides stay those of the weights, which keeps the
            # foreach product on its fast path.
            self._masks[name].copy_(mask)
        # The next `apply` makes the factors, so that they take no memory while a method scores in rounds.
        self._factors = None
        for name, site in self.sites.items():
            site.weight.mul_(self._masks[name])

    @torch.no_grad()
    def apply(self) -> None:
        """Put pruned weights back to exactly zero."""
        if self._factors is None:
            self._factors = [
                torch.empty_like(site.weight).copy_(self._masks[name]) for name, site in self.sites.items()
            ]
        weights = [site.weight for site in self.sites.values()]
        if weights:
            torch._foreach_mul_(weights, self._factors)

    def release(self) -> None:
        """Free the factors of `apply`, which are as large as the weights; the next `apply` makes them again."""
        self._factors = None

    @property
    def num_kept(self) -> int:
        return sum(int(mask.sum()) for mask in self._masks.values())

    @property
    def num_total(self) -> int:
        return sum(mask.numel() for mask in self._masks.values())

    def densities(self) -> dict[str, float]:
        return {name: float(mask.sum()) / mask.numel() for name, mask in self._masks.items()}

    def state_dict(self) -> dict[str, Tensor]:
        return {name: mask.clone() for name, mask in self._masks.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.set({name: mask.to(self._masks[name].device) for name, mask in state.items()})
