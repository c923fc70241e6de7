"""Sparsities and masks under a minimum threshold without the host: a GPU computes and keeps the numbers of the layers.

On a CPU, where nothing waits, minimum_threshold.py does the same with numbers of Python. All vectors here are float64
with one entry a layer; how many rounds a loop needs is known to the device alone, so a loop has as many as there are
layers, and those too many change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...benchmark.api.transfer import send
from .allocation import global_masks
from .budgets_on_device import count, keep_number


def masks_on_device(
    scores: Mapping[str, Tensor], kept: int, minimum: int, caps: Sequence[float], mode: str, max_rounds: int
) -> dict[str, Tensor]:
    """`minimum_threshold.masks_with_minimum` of the modes `solve` and `rescale`; `caps` are the layers' greatest
    sparsities, and they can meet the total."""
    device = next(iter(scores.values())).device
    on_host = torch.tensor([[score.numel() for score in scores.values()], caps], dtype=torch.float64)
    sizes, limits = send(on_host, device)
    goal = float(sum(score.numel() for score in scores.values()) - kept)
    start = 1 - count(global_masks(scores, kept).values()) / sizes
    if mode == "solve":
        sparsities = solve_on_device(sizes, start, limits, goal)
    else:
        sparsities = rescale_on_device(sizes, start, limits, goal, max_rounds)
    counts = apportion_on_device((1 - sparsities) * sizes, sizes, kept, minimum)
    return {name: keep_number(score, number) for (name, score), number in zip(scores.items(), counts, strict=True)}


def solve_on_device(sizes: Tensor, sparsities: Tensor, caps: Tensor, goal: float) -> Tensor:
    """`minimum_threshold.solve_sparsities`, where `goal` is how many weights are to be removed."""
    result = torch.zeros_like(sparsities)
    is_free = (caps > 0) & (sparsities > 0)
    for _ in range(len(sizes)):
        scaled = _factor(sizes, sparsities, result, is_free, goal) * sparsities
        is_over = is_free & (scaled > caps)
        result = torch.where(is_over, caps, result)
        is_free = is_free & ~is_over
    scaled = _factor(sizes, sparsities, result, is_free, goal) * sparsities
    return spread_on_device(sizes, torch.where(is_free, scaled, result), caps, goal)


def _factor(sizes: Tensor, sparsities: Tensor, result: Tensor, is_free: Tensor, goal: float) -> Tensor:
    return (goal - (sizes * result).sum()) / (sizes * sparsities * is_free).sum()


def rescale_on_device(sizes: Tensor, start: Tensor, caps: Tensor, goal: float, max_rounds: int) -> Tensor:
    """`minimum_threshold.rescale_sparsities`: of as many rounds as leave the same layers capped, all at once.

    After a round a layer is at min(f * start, cap) with one factor f for all. While the capped layers remove C and the
    others A * f weights, 1/f goes to rate / f + A / goal in a round, with the rate C / goal: a geometric series that
    ends when the next layer is capped or the goal is met to a relative 1e-9.
    """
    moves = (caps > 0) & (start > 0)
    reach = torch.where(moves, start / caps.clamp(min=torch.finfo(caps.dtype).tiny), 0)  # 1/f at which it is capped
    reach, order = reach.sort(descending=True, stable=True)
    capped, scaled = ((sizes * moves * each)[order].cumsum(0) for each in (caps, start))
    nothing = capped.new_zeros(1)
    capped, free = torch.cat((nothing, capped)), scaled[-1] - torch.cat((nothing, scaled))
    reach = torch.cat((nothing + torch.inf, reach, nothing))
    met = goal * (1 - 1e-9)
    ends = torch.where(capped < met, free / (met - capped), torch.inf).maximum(reach[1:])
    rates, limits = capped / goal, free / (goal - capped)
    inverse, left = scaled[-1] / goal, nothing[0] + (max_rounds - 1)  # after the first round
    for before, end, rate, limit in zip(reach[:-1], ends, rates, limits, strict=True):
        rounds = (((end - limit) / (inverse - limit)).log() / rate.log()).ceil().minimum(left)
        is_open = (inverse <= before) & (inverse > end)
        inverse = torch.where(is_open, limit + rate**rounds * (inverse - limit), inverse)
        left = torch.where(is_open, left - rounds, left)
    sparsities = torch.where(moves, (start / inverse).minimum(caps), 0)
    return spread_on_device(sizes, sparsities, caps, goal)


def spread_on_device(sizes: Tensor, sparsities: Tensor, caps: Tensor, goal: float) -> Tensor:
    """What scaling cannot remove, as layers are at their caps or were whole: evenly from the room that is left."""
    missing = goal - (sizes * sparsities).sum()
    room = sizes * (caps - sparsities)
    share = missing / room.sum()
    return torch.where((missing > goal * 1e-9) & (room.sum() > 0), sparsities + share * room / sizes, sparsities)


def apportion_on_device(quotas: Tensor, sizes: Tensor, total: int, minimum: int) -> Tensor:
    """`allocation.apportion` of quotas whose sum is near `total`: at most one more or one less for a layer. int64."""
    least = sizes.clamp(max=minimum)
    counts = (quotas + 1e-9).floor().maximum(least).minimum(sizes)
    missing, remainders = total - counts.sum(), quotas - counts
    more = keep_number(remainders.masked_fill(counts == sizes, -torch.inf), missing.clamp(min=0))
    less = keep_number((-remainders).masked_fill(counts == least, -torch.inf), (-missing).clamp(min=0))
    return (counts + more.double() - less.double()).long()
