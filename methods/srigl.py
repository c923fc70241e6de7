"""SRigL: RigL with the same number of inputs for every neuron, and neurons that leave as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.masks import CountedMasks, keep_largest
from ..benchmark.api.sites import Site
from .bases.dynamic import DynamicPruner
from .parts.allocation import layer_counts
from .parts.matrix_masks import keep_counts

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(kw_only=True)
class SRigL(DynamicPruner):
    """Drop by magnitude and grow by gradient, with a constant fan-in. Lasby et al., 2023 (arXiv 2305.02299).

    Structured RigL (section 3.1): the active neurons of a layer (rows of a matrix, filters of a convolution) all keep
    as many weights. An update takes the K smallest weights of a layer away, wherever they are. A weight is salient if
    it is among those that stay, or among the K of largest gradient. A neuron with fewer salient weights than the share
    `min_salient` of the fan-in without ablation is ablated: all its weights leave, and the others share them. Then
    every active neuron grows where its gradients are largest, up to the new fan-in. The last layer, whose neurons are
    the classes, loses none. Update times, drop fraction and ERK budgets are RigL's, as in the paper; 0.3 is its share
    for convolutional networks, 0.95 that for transformers.

    Layer budgets are exact here, and need not divide by the number of active neurons: the first ones then keep one
    weight more, so that two fan-ins which differ by one occur in a layer. The authors' code rounds the fan-in down,
    which makes the network sparser than asked. Where a budget has fewer weights than neurons the first neurons keep
    one each; their code refuses it. The most salient neurons stay active as far as the budget needs them. As in their
    code all neurons are judged anew in each update, so an ablated one may return. The minimum is rounded up, as in the
    paper, and down in their code, where the share is of the dense fan-in unless `use_sparse_const_fan_in_for_ablation`.

    Options:
        min_salient: share of the fan-in that must be salient for a neuron to stay; 0: no ablation.
    """

    label: ClassVar[str] = "SRigL"
    paper: ClassVar[str] = "arXiv 2305.02299"
    needs: ClassVar[str] = "dense gradients"
    search_space: ClassVar[dict[str, object]] = {
        "drop_fraction": {"low": 0.1, "high": 0.5},
        "min_salient": [0.0, 0.05, 0.3, 0.5, 0.95],
    }

    distribution: Literal["uniform", "first_dense", "erk"] = "erk"
    min_salient: Annotated[float, Field(ge=0, le=1)] = 0.3

    def begin_round(self, index: int) -> None:
        if index > 0:
            return
        draws = self.random_scores("initial mask")
        counts = layer_counts(draws, self.sparsity, "erk" if self.distribution == "erk" else "layerwise")
        assert counts is not None
        masks = {}
        for name, draw in draws.items():
            rows = rows_of(self._masks.sites[name], draw)
            is_active = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
            masks[name] = self._from_rows(name, keep_in_rows(rows, fan_ins(is_active, counts[name])))
        self._masks.set(CountedMasks(masks, counts))

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        if not self.is_due(step):
            return False
        fraction, masks, last = self.fraction(step), {}, self.context.sites[-1].name
        for name, mask in self._masks.items():
            gradient = self.gradient(name).abs()
            self._masks.check_finite({name: gradient})
            num_grow = math.floor(fraction * self._masks.counts[name] + 1e-9)
            min_salient = 0.0 if name == last else self.min_salient
            rows = [rows_of(self._masks.sites[name], each) for each in (mask, self.magnitude(name), gradient)]
            updated = update(rows[0], rows[1], rows[2], self._masks.counts[name], num_grow, min_salient)
            masks[name] = self._from_rows(name, updated)
        self.move(CountedMasks(masks, self._masks.counts), optimizer)
        return True

    def _from_rows(self, name: str, rows: Tensor) -> Tensor:
        """The inverse of `rows_of`."""
        site = self._masks.sites[name]
        if not isinstance(site.module, TRANSPOSED):
            return rows.view(site.weight.shape)
        inputs, outputs, *kernel = site.weight.shape
        grouped = rows.view(site.module.groups, outputs, inputs // site.module.groups, *kernel)
        return grouped.movedim(1, 2).reshape(site.weight.shape)


def rows_of(site: Site, tensor: Tensor) -> Tensor:
    """A tensor of the weight's shape as (neurons, inputs): transposed convolutions have their inputs first."""
    if isinstance(site.module, TRANSPOSED):
        tensor = tensor.unflatten(0, (site.module.groups, -1)).movedim(2, 1).flatten(0, 1)
    return tensor.flatten(1)


def fan_ins(is_active: Tensor, total: int) -> Tensor:
    """How many weights each neuron keeps (int64): `total` in equal parts for the active ones, the first one more."""
    num_active = is_active.sum().clamp(min=1)
    place = is_active.cumsum(0) - 1
    return (total // num_active + (place < total % num_active)) * is_active


def keep_in_rows(scores: Tensor, counts: Tensor) -> Tensor:
    """Mask of the counts[i] highest scores of row i; the counts are on the device."""
    # It takes a tensor too. Its annotation is part of the code of other methods, whose results are to stay.
    return keep_counts(scores, counts)  # pyright: ignore[reportArgumentType]


def update(mask: Tensor, magnitude: Tensor, gradient: Tensor, total: int, num_grow: int, min_salient: float) -> Tensor:
    """The mask of a layer of `total` weights after an update that replaces `num_grow`; all are (neurons, inputs)."""
    magnitude = magnitude.masked_fill(~mask, -torch.inf)
    stay = keep_largest(magnitude, total - num_grow)
    salient = stay | keep_largest(gradient, num_grow)
    is_active = choose_active(salient.sum(1), mask.shape[1], total, min_salient)
    targets = fan_ins(is_active, total)
    # a neuron may have more weights that stay than the new fan-in has room for
    kept = stay & keep_in_rows(magnitude.masked_fill(~stay, -torch.inf), targets)
    return kept | keep_in_rows(gradient.masked_fill(kept, -torch.inf), targets - kept.sum(1))


def choose_active(num_salient: Tensor, num_inputs: int, total: int, min_salient: float) -> Tensor:
    """Which neurons (bool, one each) stay: those with enough salient weights, and as many as `total` weights need."""
    if min_salient == 0:
        return torch.ones_like(num_salient, dtype=torch.bool)
    fan_in = total // len(num_salient)
    minimum = max(1, math.ceil(min_salient * fan_in - 1e-9))
    return (num_salient >= minimum) | keep_largest(num_salient.double(), math.ceil(total / num_inputs))
