"""Masks over the prunable layers of a network, and exact counts of what they keep.

This is the vocabulary that `methods/` and `datasets/` may import. Words: `mask` (True = kept), `density`
(fraction kept), `sparsity` (fraction removed), `score` (high = kept).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .selection import keep_largest as keep_largest
from .selection import keep_largest_of as keep_largest_of
from .selection import kth_largest as kth_largest
from .sites import Site
from .transfer import read


def num_kept(total: int, sparsity: float) -> int:
    """Weights left of `total` at `sparsity`: total - floor(sparsity * total).

    The 1e-9 corrects products such as 0.29 * 100 = 28.999999999999996, whose floor would be 28.
    """
    return total - math.floor(sparsity * total + 1e-9)


def check_finite(scores: Mapping[str, Tensor]) -> None:
    """Scores must be finite floats: NaN ranks as the largest value, and a boolean cannot rank below its zeros.

    Raises TypeError for scores of another kind, FloatingPointError for NaN and infinity, naming the layer.
    """
    _check_floats(scores)
    for (name, score), is_finite in zip(
        scores.items(), read([torch.isfinite(score).all() for score in scores.values()]), strict=True
    ):
        if not is_finite:
            raise _not_finite(name, int((~torch.isfinite(score)).sum()), score.numel())


def _check_floats(scores: Mapping[str, Tensor]) -> None:
    for name, score in scores.items():
        if not score.dtype.is_floating_point:
            raise TypeError(f"scores of layer {name!r} are {score.dtype}; they must be floats, such as score.float()")


def _not_finite(name: str, bad: int, total: int) -> FloatingPointError:
    return FloatingPointError(f"{bad} of {total} scores of layer {name!r} are not finite")


class CountedMasks(dict[str, Tensor]):
    """Masks by name of which the host knows how many weights each keeps, so that it need not ask a GPU."""

    def __init__(self, masks: Mapping[str, Tensor], counts: Mapping[str, int]) -> None:
        super().__init__(masks)
        self.counts = dict(counts)


@dataclass(frozen=True)
class Inspected:
    """Weights of a layer: how many are kept, not zero although they are pruned, and not finite."""

    kept: int
    leaked: int
    not_finite: int


class Masks:
    """The boolean masks of a network's sites and their upkeep during training.

    `apply` multiplies the weights by the masks with one foreach call: exact under momentum, weight decay and Adam,
    at well under 1 % of a training step for usual networks.
    """

    def __init__(self, sites: Iterable[Site]) -> None:
        self.sites = {site.name: site for site in sites}
        self._masks = {name: torch.ones_like(site.weight, dtype=torch.bool) for name, site in self.sites.items()}
        self._factors: list[Tensor] | None = None
        self._counts: dict[str, int] | None = {name: mask.numel() for name, mask in self._masks.items()}
        self._expected: int | None = None
        self._unusable: dict[str, tuple[Tensor, int]] = {}

    def __getitem__(self, name: str) -> Tensor:
        return self._masks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def items(self) -> Iterable[tuple[str, Tensor]]:
        return self._masks.items()

    @torch.no_grad()
    def set(self, masks: Mapping[str, Tensor], kept: int | None = None) -> None:
        """Replace the masks of the named sites (the others stay) and zero what they remove.

        `kept`: what all masks together must keep then. AssertionError if they do not, on a GPU by the next `inspect`.
        """
        for name, mask in masks.items():
            if mask.shape != self._masks[name].shape or mask.dtype != torch.bool:
                raise ValueError(
                    f"mask of {name!r} must be bool of shape {tuple(self._masks[name].shape)}, "
                    f"not {mask.dtype} of {tuple(mask.shape)}"
                )
            # In place: a captured step goes on reading there, and strides stay those of the weights, which keeps the
            # foreach product on its fast path.
            self._masks[name].copy_(mask)
        self._note(masks, kept)
        # The next `apply` makes the factors, so that they take no memory while a method scores in rounds.
        self._factors = None
        for name, site in self.sites.items():
            site.weight.mul_(self._masks[name])

    def _note(self, masks: Mapping[str, Tensor], kept: int | None) -> None:
        """What the host knows of the masks now."""
        old = {name: count for name, count in (self._counts or {}).items() if name not in masks}
        counts = {**old, **(masks.counts if isinstance(masks, CountedMasks) else {})}
        self._counts = {name: counts[name] for name in self._masks} if counts.keys() == self._masks.keys() else None
        self._expected = kept
        if kept is not None and all(mask.device.type == "cpu" for mask in self._masks.values()):
            assert self.num_kept == kept, f"{self.num_kept} weights kept, {kept} wanted"

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

    def check_finite(self, scores: Mapping[str, Tensor]) -> None:
        """As the function of this name; on a GPU it does not wait, and the next `inspect` raises the error."""
        on_host = {name: score for name, score in scores.items() if score.device.type == "cpu"}
        check_finite(on_host)
        _check_floats(scores)
        for name in scores.keys() - on_host.keys():
            bad = torch.isfinite(scores[name]).logical_not_().sum()
            before, _ = self._unusable.get(name, (0, 0))
            self._unusable[name] = bad + before, scores[name].numel()

    @torch.no_grad()
    def inspect(self) -> dict[str, Inspected]:
        """What is true of each layer. The host waits once for a GPU, whatever the number of layers.

        Raises FloatingPointError for scores, and AssertionError for masks, that were not looked at before.
        """
        numbers = [bad for bad, _ in self._unusable.values()]
        for name, site in self.sites.items():
            weight, mask = site.weight, self._masks[name]
            leaked = weight.masked_fill(mask, 0).count_nonzero()
            numbers += [mask.sum(), leaked, torch.isfinite(weight).logical_not_().sum()]
        found = iter(read(numbers))
        for (name, (_, total)), bad in zip(self._unusable.items(), found, strict=False):
            if bad:
                raise _not_finite(name, bad, total)
        self._unusable.clear()
        layers = {name: Inspected(next(found), next(found), next(found)) for name in self.sites}
        self._counts = {name: layer.kept for name, layer in layers.items()}
        kept = self.num_kept
        assert self._expected in (None, kept), f"{kept} weights kept, {self._expected} wanted"
        return layers

    @property
    def counts(self) -> Mapping[str, int]:
        """How many weights each mask keeps. The host may have to wait for a GPU, once for every change of masks."""
        if self._counts is None:
            self._counts = dict(zip(self._masks, read([mask.sum() for mask in self._masks.values()]), strict=True))
        return self._counts

    @property
    def num_kept(self) -> int:
        return sum(self.counts.values())

    @property
    def num_total(self) -> int:
        return sum(mask.numel() for mask in self._masks.values())

    def densities(self) -> dict[str, float]:
        return {name: count / self._masks[name].numel() for name, count in self.counts.items()}

    def state_dict(self) -> dict[str, Tensor]:
        return {name: mask.clone() for name, mask in self._masks.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.set({name: mask.to(self._masks[name].device) for name, mask in state.items()})
