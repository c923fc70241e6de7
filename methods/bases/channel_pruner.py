"""Base class of structured methods: whole channels go, and the network that is left is a smaller dense one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ...benchmark.api.coupled_channels import Group
from ...benchmark.api.errors import UserError
from ...benchmark.api.masks import check_finite, num_kept
from ...benchmark.api.pruner import Context
from ..parts.channel_groups import check_reachable, keep_channels, removable_groups, site_masks
from ..parts.channel_scores import removal_order, slice_scores
from ..parts.dense_layers import select
from .fixed_mask import FixedMask


@dataclass(kw_only=True)
class ChannelPruner(FixedMask, ABC):
    """Removes channels by a score of each; a subclass says what the score is.

    A channel goes from every layer that makes it, from depthwise convolutions and batch norms behind them (zero at the
    end) and from every layer that reads it; all of these weights count as pruned, so the sparse multiply-adds are those
    of the smaller network. `prunebench shrink` makes it. The sparsity is over all prunable weights of the network and
    is met as nearly as whole channels allow; every layer keeps one. A grouped convolution loses one filter of each of
    its groups at a time, the least of each. What feeds a grouped convolution stays, and so do channels whose removal
    would change a frozen parameter.

    Options:
        scope: `layerwise`, the same fraction of the channels of each group of layers; `global`, one ranking.
        dense: layers that keep all their filters, by keyword (first, last, depthwise, shortcut) or name pattern.
    """

    family: ClassVar[str] = "structured"
    reaches_target: ClassVar[bool] = False

    scope: Literal["layerwise", "global"] = "global"
    dense: tuple[str, ...] = ()
    _groups: list[Group] = field(init=False, repr=False, default_factory=list)

    def check(self, context: Context) -> None:
        super().check(context)
        self._check_target(context, self._find_groups(context))

    def _check_target(self, context: Context, groups: Sequence[Group]) -> None:
        shapes = {site.name: site.weight.shape for site in context.sites}
        target = num_kept(sum(shape.numel() for shape in shapes.values()), self.sparsity)
        # all but one filter of each block: which ones makes no difference to how many weights are left
        removable = [(i, (c,)) for i, group in enumerate(groups) for c in range(group.blocks, group.size)]
        check_reachable(groups, shapes, removable, target)

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._groups = self._find_groups(context)
        self._check_target(context, self._groups)  # now, not at an event late in the training
        return model

    def _find_groups(self, context: Context) -> list[Group]:
        model, allowed = context.model, {site.name for site in select(context.sites, self.dense)}
        made = [
            group
            for group in removable_groups(context)
            if allowed.issuperset(each.name for each in group.of_kind("rows", "depthwise"))
        ]
        chosen = [group for group in made if self.takes(group, model)]
        if not chosen:
            names = ", ".join(repr(site.name) for site in context.sites if site.name in allowed)
            raise UserError(f"{type(model).__name__} has no filter that can be removed, in none of {names}")
        return chosen

    def takes(self, group: Group, model: nn.Module) -> bool:
        """Whether the method removes channels of this group at all."""
        return True

    @abstractmethod
    def channel_scores(self) -> list[Tensor]:
        """The score of each channel of each group, high is kept: (channels,) of each of `self._groups`."""

    def order(self, scores: Sequence[Tensor]) -> list[tuple[int, int]]:
        """(group, place in its scores) in the order of removal, without the best of each group."""
        return removal_order(scores, self.scope)

    def choose_masks(self) -> dict[str, Tensor]:
        sites = self._masks.sites
        check_finite({name: site.weight.detach() for name, site in sites.items()})
        scores = self.channel_scores()
        check_finite({group.root: score for group, score in zip(self._groups, scores, strict=True)})
        slices = [slice_scores(score, group.blocks) for group, score in zip(self._groups, scores, strict=True)]
        order = [(index, slices[index][1][place]) for index, place in self.order([each for each, _ in slices])]
        shapes = {name: site.weight.shape for name, site in sites.items()}
        kept = keep_channels(self._groups, shapes, order, num_kept(self._masks.num_total, self.sparsity))
        return site_masks(self._groups, kept, sites)

    @torch.no_grad()
    def detach(self) -> None:
        """Batch norm and biases of removed channels reach nothing any more: they become zero too."""
        for group in self._groups:
            gone = torch.zeros(group.size, dtype=torch.bool)
            for each in group.of_kind("rows"):
                empty = ~self._masks[each.name].flatten(1).any(dim=1).cpu()
                gone[each.channels[empty[each.indices]]] = True
            for each in group.of_kind("rows", "depthwise", "norm"):
                module = self.context.model.get_submodule(each.path)
                for vector in (module.bias, module.weight if each.kind == "norm" else None):
                    if isinstance(vector, Tensor):
                        vector[each.indices[gone[each.channels]].to(vector.device)] *= 0  # keeps its sign
