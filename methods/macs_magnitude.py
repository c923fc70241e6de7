"""Global MP with multiply-adds in the objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ..benchmark.api.masks import num_kept
from ..benchmark.api.pruner import Context
from .bases.mask_pruner import MaskPruner
from .parts import minimum_threshold as mt
from .parts.dense_layers import select

MAX_POWER = 2.0**40
BISECTIONS = 60
"""Enough to tell apart powers at which two float32 magnitudes change places."""
TINY = 1e-300
"""Stands for a magnitude of zero in logarithms."""


@dataclass(kw_only=True)
class MacsMagnitude(MaskPruner):
    """Rank weights by magnitude over their multiply-adds to a power, over the whole network.

    Global MP (arXiv 2209.14624) with the extension that its text names: fewer multiply-adds at the same number of
    weights. A weight of a convolution is used once an output pixel, so weights at high resolution cost more. Either
    the power is given, or a bound on the multiply-adds: then it is the least power that meets the bound, found by
    bisection, while the number of weights stays exact. Where Global MP alone meets the bound, the power is 0.

    What it gains, and that large powers empty the layers that cost most: results/reference/flops-pareto/README.md.

    Options:
        macs_power: the score is |w| / c^power, with c multiply-adds a weight; 0 is Global MP. In that study 0.25 saves
            a quarter of the multiply-adds at the same accuracy, and 0.5 costs accuracy from 90 % on.
        macs_sparsity: fraction of the network's multiply-adds to remove at least, together with `sparsity`; 0: off.
            With a schedule it rises in proportion to the sparsity.
    """

    label: ClassVar[str] = "Global MP (MACs)"
    paper: ClassVar[str] = "arXiv 2209.14624, extended"
    needs: ClassVar[str] = "weights, multiply-adds"
    search_space: ClassVar[dict[str, object]] = {"macs_power": {"low": 0.0, "high": 1.0}}

    # within a layer all weights cost the same, so that no other scope would have an effect
    scope: Literal["global", "layerwise", "erk"] = field(init=False, default="global")
    macs_power: Annotated[float, Field(ge=0)] = 0.5
    macs_sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.macs_sparsity > 0:
            self._refuse_changed("macs_power", "has no effect with macs_sparsity, which finds the power")
            if self.sparsity == 0:
                raise ValueError("macs_sparsity needs a sparsity > 0")

    def check(self, context: Context) -> None:
        super().check(context)
        if self.macs_sparsity == 0:
            return
        sites = select(context.sites, self.dense)
        sizes = [site.weight.numel() for site in sites]
        costs = [context.macs[site.name] / size for site, size in zip(sites, sizes, strict=True)]
        total = sum(context.macs.values())
        always = total - sum(context.macs[site.name] for site in sites)
        bound = total * (1 - self.macs_sparsity + 1e-9) - always
        minimum = mt.threshold_count(sum(sizes), self.minimum_threshold)
        least = least_macs(sizes, costs, num_kept(sum(sizes), self.sparsity), minimum)
        if least > bound:
            raise _unreachable(bound, least)

    def score(self, name: str, weight: Tensor) -> Tensor:
        """Logarithms: any power keeps its precision."""
        return weight.double().abs().clamp_min(TINY).log()

    def allocate(self, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        costs = self.costs()

        def masks_at(power: float) -> dict[str, Tensor]:
            discounted = {name: score - power * math.log(costs[name]) for name, score in scores.items()}
            return super(MacsMagnitude, self).allocate(discounted, sparsity)

        if self.macs_sparsity == 0:
            for name, score in scores.items():
                score.sub_(self.macs_power * math.log(costs[name]))  # in place: float64 of the network's size
            return super().allocate(scores, sparsity)
        total = sum(self.context.macs.values())
        always = total - sum(self.context.macs[name] for name in scores)
        # 1e-9: a bound that is met exactly must not be missed by rounding
        bound = total * (1 - self.macs_sparsity * sparsity / self.sparsity + 1e-9) - always
        return masks_at(least_power(lambda power: macs_of(masks_at(power), costs), bound))

    def costs(self) -> dict[str, float]:
        """Multiply-adds a weight, for each layer that is pruned."""
        return {name: self.context.macs[name] / site.weight.numel() for name, site in self._masks.sites.items()}


def macs_of(masks: Mapping[str, Tensor], costs: Mapping[str, float]) -> float:
    """Multiply-adds of what the masks keep."""
    return math.fsum(float(mask.sum()) * costs[name] for name, mask in masks.items())


def least_macs(sizes: Sequence[int], costs: Sequence[float], kept: int, minimum: int) -> float:
    """The fewest multiply-adds of `kept` weights, at least `minimum` in each layer: the rest where they cost least."""
    counts = [min(size, minimum) for size in sizes]
    rest = kept - sum(counts)
    for index in sorted(range(len(sizes)), key=lambda i: costs[i]):
        taken = min(rest, sizes[index] - counts[index])
        counts[index] += taken
        rest -= taken
    return math.fsum(count * cost for count, cost in zip(counts, costs, strict=True))


def _unreachable(bound: float, least: float) -> ValueError:
    return ValueError(
        f"macs_sparsity leaves {bound:.1f} multiply-adds to the layers that are pruned; with this many weights "
        f"{least:.1f} is the least"
    )


def least_power(macs_at: Callable[[float], float], bound: float) -> float:
    """The least power whose multiply-adds are at most `bound`, by bisection: below it a last swap would break it.

    Raises ValueError if no power meets it.
    """
    if macs_at(0.0) <= bound:
        return 0.0
    low, high = 0.0, 1.0
    while (macs := macs_at(high)) > bound:
        low, high = high, 2 * high
        if high > MAX_POWER:
            raise _unreachable(bound, macs)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if macs_at(middle) <= bound:
            high = middle
        else:
            low = middle
    return high
