"""DepGraph's criterion: the norm of everything that goes with a channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from .bases.channel_pruner import ChannelPruner
from .parts.channel_scores import relative_to_mean, summed_over_group


@dataclass(kw_only=True)
class GroupNorm(ChannelPruner):
    """Remove the coupled channels with the smallest group norm. Fang et al., 2023 (arXiv 2301.12900).

    The score of a channel is the sum of the squares of all weights that go with it: its filter in every layer that
    makes it, its scales of batch norm, and its columns in every layer that reads it. Over the mean of its group it is
    comparable in the whole network (`normalizer: mean` of Torch-Pruning, the authors' code). Channels of residual
    streams are removed as well, from all layers of the stream at once.

    This is the paper's pruning without its sparse learning, which trains with a penalty on the groups before. The
    paper and the code remove a share of the channels and count multiply-adds; here the sparsity is that of weights.

    Options:
        scope: `global`, one ranking, as in the paper's main results; `layerwise`, the same fraction of each group.
    """

    label: ClassVar[str] = "Group norm (DepGraph)"
    paper: ClassVar[str] = "arXiv 2301.12900"
    needs: ClassVar[str] = "weights"

    scope: Literal["layerwise", "global"] = "global"

    def channel_scores(self) -> list[Tensor]:
        parameters = dict(self.context.model.named_parameters())
        squares = {
            each.name: parameters[each.name].detach().square()
            for group in self._groups
            for each in group.slices
            if each.name in parameters
        }
        return [relative_to_mean(summed_over_group(group, squares)) for group in self._groups]
