"""Methods that prune each layer by its inputs on a few training samples, without gradients."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

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
from .layer_pruner import LayerPruner, Pruned


@dataclass(kw_only=True)
class CalibratedPruner(LayerPruner, ABC):
    """A method that is given statistics of a layer's inputs, over the same training samples for all layers.

    The samples are not augmented, the network is in eval mode, sums are in float64. A convolution's inputs are
    unfolded: each output position is a vector, and each group has its own. Layers of which the inputs cannot be
    recorded are refused by name (torch's RNN, LSTM and GRU, transposed convolutions, FastGRNN's factors, weights tied
    to an embedding); `dense` leaves them out. The products of all pairs of n inputs take 8 n^2 bytes.

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
                waiting.append((site, self.pruned(site, counts[site.name], statistics.pop(site.name))))
            if self.sequential:
                masks |= self._set_all(waiting)
        return masks | self._set_all(waiting)

    def _set_all(self, waiting: list[tuple[Site, Pruned]]) -> dict[str, Tensor]:
        """Set the weights and masks of what waits for it, and return the masks."""
        masks = {site.name: self.set_weight(site, pruned) for site, pruned in waiting}
        waiting.clear()
        self._masks.set(masks)
        return masks
