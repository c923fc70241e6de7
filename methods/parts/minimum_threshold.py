"""The minimum threshold (MT) of Global MP: no layer keeps fewer than a given number of weights.

The threshold is one number for all layers, given as a percentage of all prunable weights (arXiv 2209.14624, section
on MT; the unit is that of its experiments and code). The total stays exactly at the target. Three readings:

* `solve`: the layer sparsities of the global threshold are scaled by one factor and capped so that every layer keeps
  its minimum; the factor is solved for exactly. This is the fixed point of the authors' procedure.
* `rescale`: the authors' procedure itself, repeated scaling and capping. Their loop can run for ever, since close to
  the fixed point the total stays one rounding step below the target: here it stops at a relative 1e-9.
* `protect`: the largest weights of each layer up to the minimum are protected, and one global threshold decides over
  the rest; the single threshold of Global MP survives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...benchmark.api.masks import keep_largest, num_kept
from .allocation import apportion, global_masks, masks_by_count
from .minimum_on_device import masks_on_device

_MAX_ROUNDS = 10_000


def threshold_count(total: int, percent: float) -> int:
    """The minimum number of weights a layer: floor(total * percent / 100)."""
    return int(total * percent / 100 + 1e-9)


def solve_sparsities(sizes: Sequence[int], sparsities: Sequence[float], minimum: int, sparsity: float) -> list[float]:
    """Scale `sparsities` by one factor, capped at 1 - minimum / size, so that their weighted mean is `sparsity`.

    Layers of at most `minimum` weights are kept whole. Active set: scale the free layers, cap those that overshoot,
    repeat; each round caps a layer, so it ends. Raises ValueError if the caps make the target impossible.
    """
    caps = _caps(sizes, minimum)
    goal = sparsity * sum(sizes)
    _check_feasible(sizes, caps, goal, minimum)
    result = [0.0] * len(sizes)
    free = [i for i, cap in enumerate(caps) if cap > 0 and sparsities[i] > 0]
    while free:
        open_goal = goal - sum(sizes[i] * result[i] for i in range(len(sizes)) if i not in free)
        factor = open_goal / sum(sizes[i] * sparsities[i] for i in free)
        over = [i for i in free if factor * sparsities[i] > caps[i]]
        if not over:
            for i in free:
                result[i] = factor * sparsities[i]
            return result
        for i in over:
            result[i] = caps[i]
            free.remove(i)
    return _spread_rest(sizes, result, caps, goal)


def rescale_sparsities(sizes: Sequence[int], sparsities: Sequence[float], minimum: int, sparsity: float) -> list[float]:
    """The authors' repeated scaling: zero the small layers, scale to the target, cap, and again until it is met."""
    caps = _caps(sizes, minimum)
    goal = sparsity * sum(sizes)
    _check_feasible(sizes, caps, goal, minimum)
    current = [0.0 if cap == 0 else s for s, cap in zip(sparsities, caps, strict=True)]
    for _ in range(_MAX_ROUNDS):
        removed = sum(n * s for n, s in zip(sizes, current, strict=True))
        is_capped = all(s <= cap for s, cap in zip(current, caps, strict=True))
        if removed == 0 or (is_capped and removed >= goal * (1 - 1e-9)):
            break
        current = [min(s * goal / removed, cap) for s, cap in zip(current, caps, strict=True)]
    return _spread_rest(sizes, current, caps, goal)


def check_minimum(sizes: Sequence[int], kept: int, minimum: int) -> None:
    """Raises ValueError if `kept` weights are too few for `minimum` of them in each layer (or all of a smaller one)."""
    _check_feasible(sizes, _caps(sizes, minimum), sum(sizes) - kept, minimum)


def _caps(sizes: Sequence[int], minimum: int) -> list[float]:
    return [1 - minimum / n if n > minimum else 0.0 for n in sizes]


def _check_feasible(sizes: Sequence[int], caps: Sequence[float], goal: float, minimum: int) -> None:
    most = sum(n * cap for n, cap in zip(sizes, caps, strict=True))
    if most < goal - 1e-6:
        raise ValueError(
            f"minimum_threshold keeps at least {minimum} weights in each of {len(sizes)} layers: "
            f"at most {most:.0f} weights can be removed, but the sparsity asks for {goal:.0f}"
        )


def _spread_rest(sizes: Sequence[int], sparsities: Sequence[float], caps: Sequence[float], goal: float) -> list[float]:
    """Scaling cannot move a layer whose sparsity is 0: what is still missing goes evenly to the room that is left."""
    missing = goal - sum(n * s for n, s in zip(sizes, sparsities, strict=True))
    room = [n * (cap - s) for n, s, cap in zip(sizes, sparsities, caps, strict=True)]
    if missing <= goal * 1e-9 or sum(room) <= 0:
        return list(sparsities)
    share = missing / sum(room)
    return [s + share * r / n for n, s, r in zip(sizes, sparsities, room, strict=True)]


def masks_with_minimum(scores: Mapping[str, Tensor], sparsity: float, percent: float, mode: str) -> dict[str, Tensor]:
    """Global masks in which every layer keeps its minimum; exactly num_kept(N, sparsity) weights in all."""
    sizes = [score.numel() for score in scores.values()]
    total = sum(sizes)
    kept = num_kept(total, sparsity)
    minimum = threshold_count(total, percent)
    if mode == "protect":
        return _protected_masks(scores, kept, minimum)
    if any(score.device.type != "cpu" for score in scores.values()):
        caps = _caps(sizes, minimum)
        _check_feasible(sizes, caps, total - kept, minimum)
        return masks_on_device(scores, kept, minimum, caps, mode, _MAX_ROUNDS)
    one_shot = global_masks(scores, kept)
    start = [1 - float(one_shot[name].sum()) / n for name, n in zip(scores, sizes, strict=True)]
    solve = solve_sparsities if mode == "solve" else rescale_sparsities
    sparsities = solve(sizes, start, minimum, (total - kept) / total)
    quotas = [(1 - s) * n for s, n in zip(sparsities, sizes, strict=True)]
    return masks_by_count(scores, dict(zip(scores, apportion(quotas, sizes, kept, minimum), strict=True)))


def _protected_masks(scores: Mapping[str, Tensor], kept: int, minimum: int) -> dict[str, Tensor]:
    counts = {name: min(minimum, score.numel()) for name, score in scores.items()}
    num_protected = sum(counts.values())
    if num_protected > kept:
        raise ValueError(f"minimum_threshold protects {num_protected} weights, but the sparsity leaves {kept} in all")
    # A protected weight ranks above every other: +inf is a rank here, the scores were checked before.
    lifted = {name: s.masked_fill(keep_largest(s, counts[name]), torch.inf) for name, s in scores.items()}
    return global_masks(lifted, kept)
