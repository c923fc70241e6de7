"""Filter pruning by norm: the smallest filters inside blocks go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ..benchmark.api.coupled_channels import Group
from .bases.channel_pruner import ChannelPruner


@dataclass(kw_only=True)
class FilterL1(ChannelPruner):
    """Remove the filters with the smallest sum of magnitudes, and what reads their output. Li et al., 2017.

    arXiv 1608.08710. In residual networks, as in the paper, only channels inside a block are removed: what enters a sum
    stays. Hidden units of linear layers count as filters. The paper sets the rates of layers by hand, here all have the
    same.

    Options:
        scope: `layerwise`, the same fraction of filters of each layer; `global`, one ranking of the norms, each
            divided by the filter's size (L1) or its root (L2).
        dense: layers that keep all their filters, by keyword (first, last, depthwise, shortcut) or name pattern.
    """

    label: ClassVar[str] = "Filter L1"
    paper: ClassVar[str] = "arXiv 1608.08710"
    needs: ClassVar[str] = "weights"
    norm_order: ClassVar[int] = 1

    scope: Literal["layerwise", "global"] = "layerwise"

    def takes(self, group: Group, model: nn.Module) -> bool:
        """Channels that one layer makes: none of a residual stream."""
        return len(group.of_kind("rows")) == 1

    def channel_scores(self) -> list[Tensor]:
        sites = self._masks.sites
        return [self.filter_scores(sites[group.of_kind("rows")[0].name].weight.detach()) for group in self._groups]

    def filter_scores(self, weight: Tensor) -> Tensor:
        """The norm of each filter over its size, shape (filters,): the size matters between layers only."""
        rows = weight.flatten(1).double()
        return torch.linalg.vector_norm(rows, ord=self.norm_order, dim=1) / rows.shape[1] ** (1 / self.norm_order)


@dataclass(kw_only=True)
class FilterL2(FilterL1):
    """Remove the filters with the smallest Euclidean norm; the rest is as in `filter_l1`. He et al., 2018.

    arXiv 1808.06866, whose filters may come back while training; here they are removed once.
    """

    label: ClassVar[str] = "Filter L2"
    paper: ClassVar[str] = "arXiv 1808.06866"
    norm_order: ClassVar[int] = 2
