"""Budgets that depend on the data of all layers, without the host: a GPU computes and keeps the counts.

On a CPU, where nothing waits, the same is done by the usual functions, so that its bits are theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ...benchmark.api.masks import keep_largest
from .allocation import distribute


def count(masks: Iterable[Tensor]) -> Tensor:
    """How many entries of each mask are true (int64, a number for each layer)."""
    return torch.stack([mask.sum() for mask in masks])


def total(numbers: Tensor) -> Tensor:
    """Their sum."""
    if numbers.device.type == "cpu":
        return torch.tensor(sum(numbers.tolist()), dtype=numbers.dtype)
    return numbers.sum()


def share_out(number: Tensor, shares: Tensor, room: Tensor) -> Tensor:
    """`allocation.distribute`: `number` over the layers by their float64 `shares`, into at most `room` (all int64)."""
    if number.device.type == "cpu":
        return torch.tensor(distribute(int(number), shares.tolist(), room.tolist()), dtype=torch.int64)
    quotas = number * shares
    for _ in range(len(room)):  # each time a layer becomes full, or all fits already
        overflow = (quotas - room).clamp_(min=0).sum()
        is_open = quotas < room
        spread = torch.minimum(quotas, room) + is_open * (overflow / is_open.sum().clamp_(min=1))
        quotas = torch.where(overflow > 1e-6, spread, quotas)
    counts = torch.minimum((quotas + 1e-9).floor_().clamp_(min=0), room).long()
    # At most one more for a layer: fewer are left than there are layers with room.
    remainders = (quotas - counts).masked_fill_(counts == room, -torch.inf)
    return counts + keep_number(remainders, number - counts.sum())


def keep_number(scores: Tensor, kept: Tensor) -> Tensor:
    """`keep_largest` where `kept` is a number on the device. Scores are finite floats, or -inf."""
    if scores.device.type == "cpu":
        return keep_largest(scores, int(kept))
    order = scores.flatten().sort(descending=True, stable=True).indices
    ranks = torch.arange(scores.numel(), device=scores.device)
    mask = torch.zeros_like(ranks, dtype=torch.bool)
    return mask.scatter_(0, order, ranks < kept).view(scores.shape)
