"""Taylor criterion: how much the loss changes, to first order, when a channel is switched off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.coupled_channels import Group, Slice
from ..benchmark.api.sites import Site
from .bases.channel_pruner import ChannelPruner
from .parts.scoring import mean_gradients


@dataclass(kw_only=True)
class TaylorFilters(ChannelPruner):
    """Remove the channels whose gates move the loss least. Molchanov et al., 2019 (arXiv 1906.10771).

    A gate multiplies the output of a batch norm, so the derivative of the loss with respect to it is
    scale * d/dscale + shift * d/dshift (the paper's Taylor-FO-BN). Its square, averaged over batches, is the score; the
    squares of several gates of a residual stream are added. Channels without a batch norm have the gate behind the
    layer that makes them: the sum of w * d/dw over the filter, and of the bias. Scores are compared over the whole
    network without a normalisation, as in the paper.

    The paper removes 100 neurons every 10 to 30 batches while it fine-tunes; here all go at once, scored on 30 batches.

    Options:
        scope: `global`, one ranking (the paper's); `layerwise`, the same fraction of each group of layers.
        dense: layers that keep all their filters, by keyword (first, last, depthwise, shortcut) or name pattern.
        score_samples: training samples of which the gradients are taken.
        score_batch: samples whose mean gradient is squared.
    """

    label: ClassVar[str] = "Taylor filters"
    paper: ClassVar[str] = "arXiv 1906.10771"
    needs: ClassVar[str] = "gradients"

    scope: Literal["layerwise", "global"] = "global"
    score_samples: Annotated[int, Field(ge=1)] = 3840
    score_batch: Annotated[int, Field(ge=1)] = 128

    def channel_scores(self) -> list[Tensor]:
        gates = [self._gates(group) for group in self._groups]
        tensors = self._tensors([each.path for group in gates for each in group])
        scores = [torch.zeros(group.size, dtype=torch.float64) for group in self._groups]
        num_batches = 0
        for batch in self.context.samples(self.score_samples, self.score_batch):
            gradients = mean_gradients(self.context, tensors, [batch])
            products = {each.name: _by_row(each.weight.detach() * gradients[each.name]) for each in tensors}
            for score, slices in zip(scores, gates, strict=True):
                for each in slices:
                    score.index_add_(0, each.channels, _derivative(each.path, products)[each.indices].square())
            num_batches += 1
        return [score / num_batches for score in scores]

    def _gates(self, group: Group) -> list[Slice]:
        """Where the gates of a group are: behind its batch norms, or else behind the layers that make the channels."""
        norms = [e for e in group.of_kind("norm") if self.context.model.get_submodule(e.path).weight is not None]
        return norms or group.of_kind("rows")

    def _tensors(self, paths: list[str]) -> list[Site]:
        """Weight and bias of these modules."""
        return [
            Site(f"{path}.{name}", module, name)
            for path in paths
            for module in [self.context.model.get_submodule(path)]
            for name, _ in module.named_parameters(recurse=False)
        ]


def _by_row(product: Tensor) -> Tensor:
    return product.double().reshape(len(product), -1).sum(dim=1).cpu()


def _derivative(path: str, products: Mapping[str, Tensor]) -> Tensor:
    """Of the loss with respect to the gates of a module, (rows,)."""
    weight, bias = products[f"{path}.weight"], products.get(f"{path}.bias")
    return weight if bias is None else weight + bias
