"""Which channels of a network can go without any change of its outputs, and the network without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..api.channel_values import by_channel, is_padded
from ..api.channel_walk import ChannelGraph, follow_channels
from ..api.coupled_channels import Group, Slice, coupled_channels
from .cut import cut

Cuts = dict[tuple[str, int], list[Tensor]]
"""By layer and axis, the indices that go."""


@dataclass
class Removed:
    """Channels that went, by the first layer of their group, and those without weights that stayed, with the reason."""

    channels: dict[str, int] = field(default_factory=dict)
    left: dict[str, tuple[int, str]] = field(default_factory=dict)


def remove_dead_channels(model: nn.Module, example: Tensor) -> Removed:
    """Remove every channel that no output depends on, in place, until there is none.

    A channel can go if each layer that reads it either has no weight on it, or reads a constant there: zero, or one
    that moves into the bias of that layer. A layer that pads its input with zeros cannot take a constant into its bias,
    since the constant ends at the border: of all such channels of a group one stays and carries the others' weights.
    Every group keeps one channel.
    """
    removed = Removed()
    while True:
        graph = follow_channels(model, example)
        removed.left = {}
        cuts: Cuts = {}
        for group in coupled_channels(model, graph):
            reading = Reading(group, dict(model.named_modules()), graph)
            gone = reading.removable()
            if note := reading.note():
                removed.left[group.root] = note
            if gone.any():
                removed.channels[group.root] = removed.channels.get(group.root, 0) + int(gone.sum())
                reading.move_constants(gone)
                for each in group.slices:
                    cuts.setdefault((each.path, each.axis), []).append(each.indices[gone[each.channels]])
        if not cuts:
            return removed
        for (path, axis), indices in cuts.items():
            cut(model.get_submodule(path), axis, torch.cat(indices))


class Reading:
    """How the layers behind a group read its channels, and what of it can go."""

    def __init__(self, group: Group, modules: Mapping[str, Any], graph: ChannelGraph) -> None:
        self.group, self.modules = group, modules
        self.readers = group.of_kind("columns")
        self.known = {each.path: graph.inputs[each.path].cpu()[each.indices] for each in self.readers}
        # channels that vary where a layer has weights on them, and constants that a padded layer reads
        varies, at_border = torch.zeros(2, group.size, dtype=torch.bool)
        for each in self.readers:
            layer, known = modules[each.path], self.known[each.path]
            has_weight = by_channel(layer.weight).ne(0).any(dim=2).any(dim=0).cpu()[each.indices]
            varies[each.channels[has_weight & known.isnan()]] = True
            at_border[each.channels[has_weight & known.ne(0) & ~known.isnan() & is_padded(layer)]] = True
        self.is_dead = ~varies
        self.at_border = at_border & self.is_dead
        self.keeper = self._keeper()

    def _keeper(self) -> int | None:
        """The channel that can carry the weights of all constants at borders: not zero at any padded layer."""
        least = torch.full((self.group.size,), torch.inf, dtype=torch.float64)
        for each in self._padded():
            least[each.channels] = torch.minimum(least[each.channels], self.known[each.path].abs().nan_to_num())
        least = least.masked_fill(~self.at_border, 0)
        return int(least.argmax()) if least.any() else None

    def _padded(self) -> list[Slice]:
        return [each for each in self.readers if is_padded(self.modules[each.path])]

    def removable(self) -> Tensor:
        """Which channels go, (channels,)."""
        gone = self.is_dead.clone()
        if self.group.whole:
            return torch.zeros_like(gone)
        if self.keeper is None:
            gone &= ~self.at_border
        else:
            gone[self.keeper] = False
        if gone.all():
            gone[0] = False
        return gone if self.group.blocks == 1 else _equal_in_blocks(gone, self.group.blocks)

    def note(self) -> tuple[int, str] | None:
        """How many channels that no layer writes stay, and why."""
        stays = int((~self._written() & ~self.removable()).sum())
        reason = self.group.whole or ("a layer keeps one channel" if self.is_dead.all() else "a constant at borders")
        return (stays, reason) if stays else None

    def _written(self) -> Tensor:
        """Channels with a weight in any layer that makes them."""
        written = torch.zeros(self.group.size, dtype=torch.bool)
        for each in self.group.of_kind("rows"):
            has_weight = self.modules[each.path].weight.detach().flatten(1).ne(0).any(dim=1).cpu()[each.indices]
            written[each.channels[has_weight]] = True
        return written

    def move_constants(self, gone: Tensor) -> None:
        """What removed constants add to a layer goes into its bias or, where it pads, to the keeper's columns."""
        for each in self.readers:
            layer, known = self.modules[each.path], self.known[each.path]
            moved = gone[each.channels] & known.ne(0) & ~known.isnan()
            if not moved.any():
                continue
            columns, factors = each.indices[moved].to(layer.weight.device), known[moved].to(layer.weight.device)
            weight = by_channel(layer.weight).double()[:, columns]
            if is_padded(layer):
                self._add_to_keeper(layer, each, (weight * factors[:, None]).sum(dim=1))
            else:
                added = weight.sum(dim=2) @ factors
                bias = torch.zeros_like(added) if layer.bias is None else layer.bias.detach().double()
                layer.bias = nn.Parameter((bias + added).to(layer.weight.dtype))

    @torch.no_grad()
    def _add_to_keeper(self, layer: Any, reader: Slice, added: Tensor) -> None:
        """`added` is (rows, places): the weights of constants of one."""
        if not added.any():
            return
        place = (reader.channels == self.keeper).nonzero()[0]
        column, constant = int(reader.indices[place]), float(self.known[reader.path][place])
        kept = by_channel(layer.weight).double()[:, column] + added / constant
        layer.weight[:, column] = kept.view_as(layer.weight[:, column]).to(layer.weight.dtype)


def _equal_in_blocks(gone: Tensor, blocks: int) -> Tensor:
    """The first of `gone` in each block of a grouped convolution, as many as in the block that has the fewest."""
    table = gone.view(blocks, -1)
    fewest = int(table.sum(dim=1).min())
    return (table & (table.cumsum(dim=1) <= fewest)).flatten()
