"""Filter pruning by norm: whole channels go, and the network that is left is a smaller dense one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ..benchmark.api.errors import UserError
from ..benchmark.api.masks import check_finite, num_kept
from ..benchmark.api.pruner import Context
from ..benchmark.api.sites import Site, find_sites
from .bases.fixed_mask import FixedMask
from .parts.channel_groups import ChannelGroup, find_channel_groups, kept_weights
from .parts.dense_layers import select

Removal = tuple[int, int | tuple[int, ...]]
"""The index of a group, and the channel or channels of it that go in one step."""


@dataclass(kw_only=True)
class FilterL1(FixedMask):
    """Remove the filters with the smallest sum of magnitudes, and what reads their output. Li et al., 2017.

    arXiv 1608.08710. Removing a filter also removes its row in the depthwise convolutions behind it, its entries in
    batch norm (zero at the end) and the input channel of every layer that reads it; all of these count as pruned, so
    the sparse multiply-adds are those of the smaller network. In residual networks, as in the paper, only channels
    inside a block are removed: what enters a sum stays. Hidden units of linear layers count as filters.

    The sparsity is over all prunable weights of the network and is met as nearly as whole filters allow; every layer
    keeps one filter. The paper sets the rates of layers by hand, here all have the same. A grouped convolution loses
    one filter of each of its groups at a time, the smallest of each: with unequal groups it would be no convolution any
    more. What feeds a grouped convolution stays, and so do filters whose removal would change a frozen parameter.

    Options:
        scope: `layerwise`, the same fraction of filters of each layer; `global`, one ranking of the norms, each
            divided by the filter's size (L1) or its root (L2).
        dense: layers that keep all their filters, by keyword (first, last, depthwise, shortcut) or name pattern.
    """

    label: ClassVar[str] = "Filter L1"
    family: ClassVar[str] = "structured"
    paper: ClassVar[str] = "arXiv 1608.08710"
    needs: ClassVar[str] = "weights"
    reaches_target: ClassVar[bool] = False
    norm_order: ClassVar[int] = 1

    scope: Literal["layerwise", "global"] = "layerwise"
    dense: tuple[str, ...] = ()
    _groups: list[ChannelGroup] = field(init=False, repr=False, default_factory=list)

    def check(self, context: Context) -> None:
        super().check(context)
        groups = self._find_groups(context.model, context.sites)
        shapes = {site.name: site.weight.shape for site in context.sites}
        target = num_kept(sum(math.prod(shape) for shape in shapes.values()), self.sparsity)
        # all but one filter of each block: which ones makes no difference to how many weights are left
        removable = [(i, (c,)) for i, group in enumerate(groups) for c in range(group.blocks, group.size)]
        _check_reachable(groups, shapes, removable, target)

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._groups = self._find_groups(model, context.sites)
        return model

    def _find_groups(self, model: nn.Module, sites: tuple[Site, ...]) -> list[ChannelGroup]:
        allowed = {site.name for site in select(sites, self.dense)}
        groups = find_channel_groups(model, find_sites(model))
        chosen = [g for g in groups if allowed.issuperset(g.outputs) and _is_trained(g, model, sites)]
        if not chosen:
            names = ", ".join(repr(site.name) for site in sites if site.name in allowed)
            raise UserError(f"{type(model).__name__} has no filter that can be removed alone, in none of {names}")
        return chosen

    def choose_masks(self) -> dict[str, Tensor]:
        weights = {name: site.weight.detach() for name, site in self._masks.sites.items()}
        check_finite(weights)
        slices = [slice_scores(self.filter_scores(weights[g.producer]), g.blocks) for g in self._groups]
        order = removal_order([scores for scores, _ in slices], self.scope)
        order = [(index, slices[index][1][position]) for index, position in order]
        shapes = {name: site.weight.shape for name, site in self._masks.sites.items()}
        kept = keep_filters(self._groups, shapes, order, num_kept(self._masks.num_total, self.sparsity))
        masks = {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}
        for group, channels in zip(self._groups, kept, strict=True):
            _remove(masks, group, channels)
        return masks

    def filter_scores(self, weight: Tensor) -> Tensor:
        """The norm of each filter over its size, shape (filters,): the size matters between layers only."""
        rows = weight.flatten(1).double()
        return torch.linalg.vector_norm(rows, ord=self.norm_order, dim=1) / rows.shape[1] ** (1 / self.norm_order)

    @torch.no_grad()
    def detach(self) -> None:
        """Batch norm and biases of removed filters reach nothing any more: they become zero too."""
        modules = dict(self.context.model.named_modules())
        for group in self._groups:
            kept = self._masks[group.producer].flatten(1).any(dim=1)
            layers = [self._masks.sites[name].module for name in group.outputs]
            for module in (*layers, *(modules[path] for path in group.norms)):
                vectors = [module.bias] if module in layers else [module.weight, module.bias]
                for vector in vectors:
                    if isinstance(vector, Tensor):
                        vector.mul_(kept)


@dataclass(kw_only=True)
class FilterL2(FilterL1):
    """Remove the filters with the smallest Euclidean norm; the rest is as in `filter_l1`. He et al., 2018.

    arXiv 1808.06866, whose filters may come back while training; here they are removed once.
    """

    label: ClassVar[str] = "Filter L2"
    paper: ClassVar[str] = "arXiv 1808.06866"
    norm_order: ClassVar[int] = 2


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


def keep_filters(
    groups: Sequence[ChannelGroup], shapes: Mapping[str, torch.Size], order: Sequence[Removal], target: int
) -> list[Tensor]:
    """Masks over the channels of each group: as many of `order` removed as brings the weights nearest to `target`.

    Raises ValueError if removing all of `order` leaves more than `target`.
    """
    _check_reachable(groups, shapes, order, target)
    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        if count_kept(groups, shapes, _channels_left(groups, order[:middle])) >= target:
            low = middle
        else:
            high = middle
    nearest = min(
        (low, high), key=lambda n: abs(count_kept(groups, shapes, _channels_left(groups, order[:n])) - target)
    )
    return _channels_left(groups, order[:nearest])


def _check_reachable(
    groups: Sequence[ChannelGroup], shapes: Mapping[str, torch.Size], order: Sequence[Removal], target: int
) -> None:
    fewest = count_kept(groups, shapes, _channels_left(groups, order))
    if fewest > target:
        total = sum(math.prod(shape) for shape in shapes.values())
        raise ValueError(f"filters can remove at most {total - fewest} of {total} weights, not {total - target}")


def count_kept(groups: Sequence[ChannelGroup], shapes: Mapping[str, torch.Size], kept: Sequence[Tensor]) -> int:
    """Weights of the network when each group keeps these channels."""
    rows = {name: shape[0] for name, shape in shapes.items()}
    columns = {name: shape[1] for name, shape in shapes.items()}
    for group, channels in zip(groups, kept, strict=True):
        left = int(channels.sum())
        rows |= dict.fromkeys(group.outputs, left)
        columns |= {name: left * repeat for name, repeat in group.consumers.items()}
    return sum(kept_weights(shape, rows[name], columns[name]) for name, shape in shapes.items())


def _channels_left(groups: Sequence[ChannelGroup], removed: Sequence[Removal]) -> list[Tensor]:
    left = [torch.ones(group.size, dtype=torch.bool) for group in groups]
    for index, channels in removed:
        left[index][torch.as_tensor(channels)] = False
    return left


def _remove(masks: dict[str, Tensor], group: ChannelGroup, channels: Tensor) -> None:
    for name in group.outputs:
        masks[name][~channels] = False
    for name, repeat in group.consumers.items():
        masks[name][:, ~channels.repeat_interleave(repeat)] = False


def _is_trained(group: ChannelGroup, model: nn.Module, sites: tuple[Site, ...]) -> bool:
    """Whether nothing that removing a channel changes is frozen; `sites` are the trained ones."""
    modules = {site.name: site.module for site in sites}
    if not modules.keys() >= {*group.outputs, *group.consumers}:
        return False
    biases = [modules[name].bias for name in group.outputs]
    norms = [model.get_submodule(path) for path in group.norms]
    affine = [vector for norm in norms for vector in (norm.weight, norm.bias)]
    return all(vector.requires_grad for vector in (*biases, *affine) if isinstance(vector, Tensor))
