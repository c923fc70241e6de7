"""From importances of weights to scores of channels, and from scores to an order of removal."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from ...benchmark.api.coupled_channels import Group


def summed_over_group(group: Group, importances: Mapping[str, Tensor]) -> Tensor:
    """The importance of all that goes with a channel, (channels,) in float64, on the CPU.

    Args:
        importances: of every weight of the layers and scale of the batch norms in the group, in their shapes, by name.
    """
    total = torch.zeros(group.size, dtype=torch.float64)
    for each in group.slices:
        if each.name in importances:  # a batch norm without a scale has none
            values = importances[each.name].double()
            values = values.transpose(0, 1) if each.kind == "columns" else values
            total.index_add_(0, each.channels, values.reshape(len(values), -1).sum(dim=1).cpu()[each.indices])
    return total


def relative_to_mean(scores: Tensor) -> Tensor:
    """Over their mean, which makes scores of different groups comparable; all zero stays so."""
    mean = scores.mean()
    return scores / mean if mean else scores


def slice_scores(scores: Tensor, blocks: int) -> tuple[Tensor, list[tuple[int, ...]]]:
    """What is removed together, one filter of each block, and its score, the mean over the blocks.

    The first slice has the least filter of each block, the next the second, and so on. One block: single filters.
    """
    if blocks == 1:
        return scores, [(channel,) for channel in range(len(scores))]
    ascending, order = scores.view(blocks, -1).sort(dim=1, stable=True)
    channels = order + torch.arange(blocks, device=order.device)[:, None] * order.shape[1]
    return ascending.mean(dim=0), [tuple(column) for column in channels.T.tolist()]


def removal_order(scores: Sequence[Tensor], scope: str) -> list[tuple[int, int]]:
    """(group, channel) in the order of removal, least first; the best channel of each group is not in it.

    Layer by layer the order is by the fraction of the group that is then gone; over the network it is by score.
    """
    ranked: list[tuple[float, int, int]] = []
    for index, values in enumerate(scores):
        ascending = values.argsort(stable=True)[:-1].tolist()
        for position, channel in enumerate(ascending):
            key = (position + 1) / len(values) if scope == "layerwise" else float(values[channel])
            ranked.append((key, index, channel))
    # stable: within a group equal scores keep their order
    return [(index, channel) for _, index, channel in sorted(ranked, key=lambda item: item[0])]


def order_within_classes(scores: Sequence[Tensor], classes: Sequence[Hashable]) -> list[tuple[int, int]]:
    """As `removal_order`, ranked by score among the groups of a class, so that all classes lose the same share."""
    ranked: list[tuple[float, int, int]] = []
    for label in dict.fromkeys(classes):
        members = [index for index, each in enumerate(classes) if each == label]
        own = [(members[place], channel) for place, channel in removal_order([scores[i] for i in members], "global")]
        count = sum(len(scores[index]) for index in members)
        ranked += [((position + 1) / count, *pair) for position, pair in enumerate(own)]
    return [(index, channel) for _, index, channel in sorted(ranked, key=lambda item: item[0])]
