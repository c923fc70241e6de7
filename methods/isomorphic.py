"""Isomorphic pruning: channels are ranked among groups of layers of the same structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ..benchmark.api.coupled_channels import Group
from ..benchmark.api.sites import Site
from .bases.channel_pruner import ChannelPruner
from .parts.channel_scores import order_within_classes, relative_to_mean, summed_over_group
from .parts.scoring import mean_gradients


@dataclass(kw_only=True)
class Isomorphic(ChannelPruner):
    """Rank channels only among groups of layers that look alike. Fang et al., 2024 (arXiv 2407.04616).

    Two groups are isomorphic if the same kinds of layers take part in them in the same way, in the order of the
    network: convolutions or linear layers that make, pass on or read the channels, and batch norms. Every class of
    groups loses the same share of its channels, the least of one ranking. So inner channels, residual streams and
    depthwise ones are never compared with each other.

    The score is that of the authors' scripts: the sum of |w * d/dw| over all weights that go with a channel, over the
    mean of its group, from 50 batches of 64 images. For some networks they round channel counts or limit the share that
    a layer loses, and they prune heads of attention, which stays whole here.

    Options:
        dense: layers that keep all their filters, by keyword (first, last, depthwise, shortcut) or name pattern.
        score_samples: training samples of which the gradient is taken.
        score_batch: samples of a pass.
    """

    label: ClassVar[str] = "Isomorphic"
    paper: ClassVar[str] = "arXiv 2407.04616"
    needs: ClassVar[str] = "gradients"

    # the ranking is within classes of groups
    scope: Literal["layerwise", "global"] = field(init=False, default="global")
    score_samples: Annotated[int, Field(ge=1)] = 3200
    score_batch: Annotated[int, Field(ge=1)] = 64

    def channel_scores(self) -> list[Tensor]:
        tensors = self._tensors()
        batches = self.context.samples(self.score_samples, self.score_batch)
        gradients = mean_gradients(self.context, tensors, batches)
        values = {site.name: (site.weight.detach() * gradients[site.name]).abs() for site in tensors}
        return [relative_to_mean(summed_over_group(group, values)) for group in self._groups]

    def order(self, scores: Sequence[Tensor]) -> list[tuple[int, int]]:
        return order_within_classes(scores, [self._structure(group) for group in self._groups])

    def _structure(self, group: Group) -> tuple[tuple[str, str], ...]:
        """What takes part in a group, and how."""
        kinds = [(type(self.context.model.get_submodule(each.path)).__name__, each.kind) for each in group.slices]
        return tuple(kinds)

    def _tensors(self) -> list[Site]:
        """The weights of the layers and the scales of the batch norms of all groups."""
        paths = dict.fromkeys(each.path for group in self._groups for each in group.slices)
        modules = {path: self.context.model.get_submodule(path) for path in paths}
        return [Site(f"{path}.weight", module) for path, module in modules.items() if module.weight is not None]
