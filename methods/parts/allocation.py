"""Where the budget goes: from scores and a sparsity to how many weights each layer keeps.

Every scope keeps exactly num_kept(N, sparsity) weights in all. Sources: global, Global MP (arXiv 2209.14624,
section 3); ERK, Evci et al. 2020 (arXiv 1911.11134); minimum threshold, Global MP, equation of MT and algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from torch import Tensor

from ...benchmark.api.masks import CountedMasks, keep_largest, keep_largest_of, num_kept
from ...benchmark.api.transfer import read


def apportion(quotas: Sequence[float], sizes: Sequence[int], total: int, minimum: int = 0) -> list[int]:
    """Whole counts near the quotas that add up to exactly `total`: floors first, then the largest remainders.

    Each count is at most its size and at least min(minimum, size). Raises ValueError if that cannot add up.
    """
    lower = [min(minimum, size) for size in sizes]
    if not sum(lower) <= total <= sum(sizes):
        raise ValueError(f"cannot keep {total} weights in layers of {sum(sizes)} with at least {minimum} a layer")
    counts = [
        min(size, max(low, math.floor(quota + 1e-9))) for quota, size, low in zip(quotas, sizes, lower, strict=True)
    ]
    difference = total - sum(counts)
    direction = 1 if difference > 0 else -1
    bound = sizes if direction > 0 else lower
    while difference:
        # Ties go to the earlier layer, so that the result is a function of the input alone.
        open_layers = [i for i in range(len(counts)) if counts[i] != bound[i]]
        chosen = max(open_layers, key=lambda i: (direction * (quotas[i] - counts[i]), -i))
        counts[chosen] += direction
        difference -= direction
    return counts


def distribute(total: int, shares: Sequence[float], room: Sequence[int]) -> list[int]:
    """Whole counts that add up to `total`, near total * share and at most `room`.

    What does not fit into a layer goes in equal parts to the layers that have room, until all of it fits.
    """
    quotas = [total * share for share in shares]
    while (overflow := sum(max(0.0, q - r) for q, r in zip(quotas, room, strict=True))) > 1e-6:
        quotas = [min(q, float(r)) for q, r in zip(quotas, room, strict=True)]
        is_open = [q < r for q, r in zip(quotas, room, strict=True)]
        quotas = [q + overflow / sum(is_open) if o else q for q, o in zip(quotas, is_open, strict=True)]
    return apportion(quotas, room, total)


def erk_densities(
    shapes: Mapping[str, Sequence[int]], sparsity: float, power: float = 1.0, dense: Collection[str] = ()
) -> dict[str, float]:
    """Erdos-Renyi-Kernel densities: each layer's density is proportional to sum(shape) / prod(shape), clipped at 1.

    What a clipped layer cannot take is spread over the others, so the total is met. Layers in `dense` are kept whole
    and stand outside the budget. `power` 0 is uniform. It can always be met: a layer is clipped only where its share
    of the budget exceeds its size, so something is left for the others.
    """
    raw = {name: (sum(s) / math.prod(s)) ** power for name, s in shapes.items() if name not in dense}
    sizes = {name: math.prod(shapes[name]) for name in raw}
    clipped: set[str] = set()
    while free := [name for name in raw if name not in clipped]:
        removed = {name: math.floor(sparsity * size + 1e-9) for name, size in sizes.items()}
        budget = sum(sizes[name] - removed[name] for name in free) - sum(removed[name] for name in clipped)
        scale = budget / sum(raw[name] * sizes[name] for name in free)
        largest = max(raw[name] for name in free)
        if scale * largest <= 1.0:
            return {name: scale * raw[name] if name in free else 1.0 for name in shapes}
        clipped |= {name for name in free if raw[name] == largest}
    return dict.fromkeys(shapes, 1.0)


class CountedScores(dict[str, Tensor]):
    """Scores by name of which the host knows how many of each layer are not -inf, so that it need not ask a GPU."""

    def __init__(self, scores: Mapping[str, Tensor], alive: Callable[[str], int]) -> None:
        super().__init__(scores)
        self.alive = alive


def layer_counts(scores: Mapping[str, Tensor], sparsity: float, scope: str, minimum: int = 0) -> dict[str, int] | None:
    """How many weights each layer keeps; None for the plain global scope, where the scores decide.

    `minimum` is the number of weights that every layer keeps at least (a smaller layer is kept whole).
    """
    sizes = [score.numel() for score in scores.values()]
    total = num_kept(sum(sizes), sparsity)
    if scope == "global":
        return None
    if scope == "layerwise":
        quotas = [(1.0 - sparsity) * size for size in sizes]
    else:
        densities = erk_densities({name: tuple(s.shape) for name, s in scores.items()}, sparsity)
        quotas = [densities[name] * s.numel() for name, s in scores.items()]
    return round_quotas(scores, dict(zip(scores, quotas, strict=True)), total, minimum)


def round_quotas(
    scores: Mapping[str, Tensor], quotas: Mapping[str, float], total: int, minimum: int = 0
) -> dict[str, int]:
    """Whole counts near the quotas of the layers, `total` in all; weights pruned before (scores -inf) stay away."""
    # A layer-by-layer rule that empties a layer cuts the network by rounding alone: one weight stays if it can.
    floor = minimum or (1 if total >= len(scores) else 0)
    # What an earlier event has pruned is at -inf and stays away: rounding must not hand its place back.
    if isinstance(scores, CountedScores):
        alive = [scores.alive(name) for name in scores]
    else:
        alive = read([(score > -math.inf).sum() for score in scores.values()])
    return dict(zip(scores, apportion([quotas[name] for name in scores], alive, total, floor), strict=True))


def masks_by_count(scores: Mapping[str, Tensor], counts: Mapping[str, int]) -> CountedMasks:
    """Per layer, the mask of the `counts[name]` highest scores."""
    return CountedMasks({name: keep_largest(score, counts[name]) for name, score in scores.items()}, counts)


def global_masks(scores: Mapping[str, Tensor], kept: int) -> dict[str, Tensor]:
    """The `kept` highest scores over all layers together."""
    return dict(zip(scores, keep_largest_of(list(scores.values()), kept), strict=True))
