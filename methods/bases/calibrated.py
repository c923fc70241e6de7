"""Methods that prune each layer by its inputs on a few training samples, without gradients."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...benchmark.api.sites import Site
from ..parts.calibration import (
    Statistic,
    calibration_batches,
    call_order,
    groups_by_memory,
    input_statistics,
)
from ..parts.layer_matrix import check_inputs
from .layer_pruner import Layer, LayerPruner, Pruned

NEXT_TO_NOTHING = 1e-20
"""What weights of dead inputs are multiplied by for the choice: they cost less than all others, by magnitude."""


@dataclass(kw_only=True)
class CalibratedPruner(LayerPruner, ABC):
    """A method that is given statistics of a layer's inputs, over the same training samples for all layers.

    The samples are not augmented, the network is in eval mode, sums are in float64. A convolution's inputs are
    unfolded: each output position is a vector, and each group has its own. Layers of which the inputs cannot be
    recorded are refused by name (torch's RNN, LSTM and GRU, transposed convolutions, FastGRNN's factors, weights tied
    to an embedding); `dense` leaves them out. The products of all pairs of n inputs take 8 n^2 bytes.

    Weights of inputs that are zero for all samples go before all others, the smallest first; those that stay keep
    their values.

    Options, besides those of LayerPruner:
        calibration_samples: training samples; all of them, if there are fewer.
        sequential: layers are pruned in the order of the forward pass, each with the inputs that the pruned layers
            before it give, which takes a pass a layer; else with those of the dense network, in one pass.
    """

    statistic: ClassVar[Statistic] = "products"

    calibration_samples: Annotated[int, Field(ge=1)] = 1024
    sequential: bool = True

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        super().check_sites(model, sites)
        check_inputs(self.choose_sites(sites))

    def prune_sites(self, sites: list[Site], counts: Mapping[str, int]) -> dict[str, Tensor]:
        batches = calibration_batches(self.context, self.calibration_samples)
        if self.sequential:
            groups = [[site] for site in call_order(self.context.model, sites, batches)]
        else:
            groups = groups_by_memory(sites, self.statistic)
        masks: dict[str, Tensor] = {}
        waiting: list[tuple[Site, Pruned]] = []
        for group in groups:
            statistics = input_statistics(self.context, group, batches, self.statistic)
            for site in group:
                given = statistics.pop(site.name)
                waiting.append((site, self._prune(site, counts[site.name], given)))
            if self.sequential:
                masks |= self._set_all(waiting)
        return masks | self._set_all(waiting)

    def _prune(self, site: Site, kept: int, statistics: Tensor) -> Pruned:
        weight = self.matrix(site)
        norms = statistics if self.statistic == "norms" else statistics.diagonal(dim1=1, dim2=2)
        is_dead = (norms == 0).unsqueeze(1)
        given = torch.where(is_dead, NEXT_TO_NOTHING * weight, weight)
        mask, changed = self.prune_layer(Layer(weight=given, kept=kept, statistics=statistics))
        return mask, None if changed is None else torch.where(is_dead, weight, changed)

    def _set_all(self, waiting: list[tuple[Site, Pruned]]) -> dict[str, Tensor]:
        """Set the weights and masks of what waits for it, and return the masks."""
        masks = {site.name: self.set_weight(site, pruned) for site, pruned in waiting}
        waiting.clear()
        self._masks.set(masks)
        return masks
