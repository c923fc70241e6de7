"""Which channels go, without the host: a GPU ranks them, counts what is left, and makes the masks.

The masks are those of channel_groups.py and channel_scores.py: all counts are whole numbers, and equal scores keep
their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...benchmark.api.coupled_channels import Group
from ...benchmark.api.sites import Site
from ...benchmark.api.transfer import send

Axes = tuple[Tensor, Tensor]
"""Of a layer: the rank of each of its rows and of its columns; never removed is the number of ranks."""


def masks_on_device(
    groups: Sequence[Group], scores: Sequence[Tensor], scope: str, sites: Mapping[str, Site], target: int
) -> dict[str, Tensor]:
    """Masks of all sites that leave as nearly `target` weights as whole channels allow; each group keeps its best.

    Args:
        scores: of the channels of each group, (channels,) in float64 on the device; high is kept.
    """
    ranks, number = _ranks(groups, scores, scope)
    shapes = {name: site.weight.shape for name, site in sites.items()}
    axes = _axes(groups, ranks, number, shapes)
    left = sum(
        _left(rows, number) * _left(columns, number) * (shapes[name].numel() // (len(rows) * len(columns)))
        for name, (rows, columns) in axes.items()
    )
    assert isinstance(left, Tensor)
    removed = _nearest(left, target)
    return {name: _mask(*axes[name], removed, shape) for name, shape in shapes.items()}


def _ranks(groups: Sequence[Group], scores: Sequence[Tensor], scope: str) -> tuple[list[Tensor], int]:
    """The place of each channel of each group in the order of removal, and the number of places."""
    keys: list[Tensor] = []
    channels: list[Tensor] = []
    for group, score in zip(groups, scores, strict=True):
        # one filter of each block goes at a time, the least of each
        ascending, order = score.view(group.blocks, -1).sort(dim=1, stable=True)
        values = ascending.mean(dim=0) if group.blocks > 1 else ascending[0]
        place = values.argsort(stable=True)[:-1]
        per_block = order.shape[1]
        share = torch.arange(1, per_block, dtype=torch.float64, device=score.device) / per_block
        keys.append(share if scope == "layerwise" else values[place])
        first = torch.arange(group.blocks, device=score.device)[:, None] * per_block
        channels.append((order + first)[:, place])
    rank = torch.cat(keys).argsort(stable=True).argsort()
    number = len(rank)
    parts = rank.split([len(key) for key in keys])
    never = [torch.full_like(score, number, dtype=torch.int64) for score in scores]
    found = zip(never, channels, parts, strict=True)
    return [all_.scatter(0, own.flatten(), part.expand_as(own).flatten()) for all_, own, part in found], number


def _axes(
    groups: Sequence[Group], ranks: Sequence[Tensor], number: int, shapes: Mapping[str, torch.Size]
) -> dict[str, Axes]:
    device = ranks[0].device
    axes: dict[str, Axes] = {}
    for name, (rows, columns, *_) in shapes.items():
        axes[name] = (torch.full((rows,), number, device=device), torch.full((columns,), number, device=device))
    for group, rank in zip(groups, ranks, strict=True):
        for each in group.slices:
            if each.kind != "norm":
                axes[each.name][each.axis].scatter_(0, send(each.indices, device), rank[send(each.channels, device)])
    return axes


def _left(ranks: Tensor, number: int) -> Tensor:
    """How many of these are left when the first n of the order are removed, for n from 0 to `number`."""
    at = torch.zeros(number + 1, dtype=torch.int64, device=ranks.device)
    at.scatter_add_(0, ranks, torch.ones_like(ranks))
    return len(ranks) - (at.cumsum(0) - at)


def _nearest(left: Tensor, target: int) -> Tensor:
    """The number of removals whose `left` is nearest to the target; the fewer of two."""
    low = ((left[:-1] >= target).sum() - 1).clamp(min=0)
    high = (low + 1).clamp(max=len(left) - 1)
    pair = torch.stack((low, high))
    distance = (left[pair] - target).abs()
    return torch.where(distance[0] <= distance[1], low, high)


def _mask(rows: Tensor, columns: Tensor, removed: Tensor, shape: torch.Size) -> Tensor:
    rest = [1] * (len(shape) - 2)
    return ((rows >= removed).view(-1, 1, *rest) & (columns >= removed).view(1, -1, *rest)).expand(shape)
