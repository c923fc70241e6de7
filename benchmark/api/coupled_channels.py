"""Channels that can only be removed together: rows of the layers that make them, columns of those that read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from .channel_walk import ChannelGraph, Kind, Use


@dataclass(frozen=True)
class Slice:
    """The part of one layer that belongs to the channels of a group.

    Attributes:
        path: of the module.
        kind: rows of a layer that makes the channels, rows of a depthwise convolution that passes them on, columns of
            a layer that reads them, or entries of a batch norm.
        indices: of these rows, columns or entries, and `channels`: the channel of the group that each belongs to. Both
            (entries,), on the CPU.
    """

    path: str
    kind: Kind
    indices: Tensor
    channels: Tensor

    @property
    def axis(self) -> int:
        """Of the weight."""
        return 1 if self.kind == "columns" else 0

    @property
    def name(self) -> str:
        """Of the weight: the site's."""
        return f"{self.path}.weight".lstrip(".")


@dataclass(frozen=True)
class Group:
    """Coupled channels.

    Attributes:
        root: path of the first layer, in the order of the forward pass, that makes them; the channels are its rows.
        size: number of channels.
        slices: in the order of the forward pass.
        blocks: groups of that layer, a convolution: each must keep as many channels as the others.
        whole: why none of them may be removed, as words after "they"; empty where they may.
    """

    root: str
    size: int
    slices: tuple[Slice, ...]
    blocks: int = 1
    whole: str = ""

    def of_kind(self, *kinds: Kind) -> list[Slice]:
        return [each for each in self.slices if each.kind in kinds]


def coupled_channels(model: nn.Module, graph: ChannelGraph) -> list[Group]:
    """The groups of a network, in the order of its forward pass; `graph` is that of the same network."""
    labels = _labels(graph)
    groups: list[Group] = []
    visited: set[str] = set()
    for use in graph.uses:
        if use.kind == "rows" and use.path not in visited:
            group = _group(use, labels, graph, model)
            visited.update(each.path for each in group.of_kind("rows"))
            groups.append(group)
    return groups


def _labels(graph: ChannelGraph) -> Tensor:
    """(ids,): one number for all ids that stand for the same channel."""
    if not graph.pairs:
        return torch.arange(graph.num_ids)
    first, second = (torch.cat([pair[place] for pair in graph.pairs]).numpy() for place in (0, 1))
    links = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(graph.num_ids, graph.num_ids))
    return torch.from_numpy(connected_components(links, directed=False)[1]).long()


def _group(root: Use, labels: Tensor, graph: ChannelGraph, model: nn.Module) -> Group:
    own = labels[root.ids]
    channel_of = torch.full((graph.num_ids,), -1)  # by label
    channel_of[own] = torch.arange(len(own))
    slices = []
    for use in graph.uses:
        channels = channel_of[labels[use.ids]]
        indices = (channels >= 0).nonzero().flatten()
        if len(indices):
            slices.append(Slice(use.path, use.kind, indices, channels[indices]))
    blocks = getattr(model.get_submodule(root.path), "groups", 1)
    whole = [reason for ids, reason in graph.whole if (channel_of[labels[ids]] >= 0).any()]
    whole += _reasons(slices, model, num_distinct=len(own.unique()), size=len(own))
    return Group(root.path, len(own), tuple(slices), blocks, whole[0] if whole else "")


def _reasons(slices: Sequence[Slice], model: nn.Module, *, num_distinct: int, size: int) -> Iterator[str]:
    """Why a group stays whole, beside what its channels meet."""
    rows = [each.path for each in slices if each.kind == "rows"]
    if all(each.kind != "columns" for each in slices):
        yield "are read by no layer"
    if num_distinct < size:
        yield "are added to each other"
    if len(rows) > 1 and any(getattr(model.get_submodule(path), "groups", 1) > 1 for path in rows):
        yield "are of a grouped convolution and of another layer"
