"""Optimal Brain Compression: exact greedy removal, one weight of a row after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.errors import UserError
from ..benchmark.api.sites import Site
from .bases.calibrated import CalibratedPruner
from .bases.layer_pruner import Layer, Pruned
from .parts.elimination import Elimination
from .parts.layer_matrix import matrix_of
from .parts.least_squares import damped, refit
from .parts.matrix_masks import keep_of_layer

CHUNK_BYTES = {"cpu": 8 * 2**20}
"""Of the inverses of the rows that are pruned together: they fit into a processor's cache."""
OTHER_CHUNK_BYTES = 2**30
"""On other devices."""


@dataclass(kw_only=True)
class OBC(CalibratedPruner):
    """Remove weights one by one, each the one that costs its row least with all others adapted. Frantar et al., 2022.

    ExactOBS of Optimal Brain Compression (arXiv 2208.11580); compared with the authors' code (IST-DASLab/OBC). With H
    the damped products of the inputs that a row still has, removing w_p costs w_p^2 / [H^-1]_pp, moves the row by
    -(w_p / [H^-1]_pp) times column p of H^-1, and takes p out of H^-1 by a step of elimination. The costs of all rows
    are merged, always with the row whose next removal is cheapest. Every step is optimal, the sum of them is not.

    The weights that stay are those of least squares within the mask, which is what the updates add up to. Inputs are
    those of the dense network, as in the authors' code. It takes 1,024 samples ten times, augmented; here they are
    taken once, as they are. It adds 1 to the diagonal of an H that is singular; here the damping is SparseGPT's,
    always. It sorts the costs of all rows, which is the merging where they rise along a row. N:M groups run along the
    input channels in both. A layer's sparsity is that of the network; the paper also chooses it layer by layer.

    Options:
        damping: share of the mean of H's diagonal that is added to it.
        max_inputs: layers with more inputs an output are refused: a row takes time with their third power.
    """

    label: ClassVar[str] = "OBC"
    family: ClassVar[str] = "post-training"
    paper: ClassVar[str] = "arXiv 2208.11580"
    needs: ClassVar[str] = "layer inputs"
    moves_weights: ClassVar[bool] = True

    sequential: bool = False
    damping: Annotated[float, Field(gt=0)] = 0.01
    max_inputs: Annotated[int, Field(ge=1)] = 4608

    def choose_sites(self, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        chosen = super().choose_sites(sites)
        for site in chosen:
            if (inputs := matrix_of(site, site.weight).shape[2]) > self.max_inputs:
                raise UserError(
                    f"cannot prune layer {site.name!r}: its outputs have {inputs} inputs each, more than "
                    f"max_inputs = {self.max_inputs}; raise it, or leave the layer dense"
                )
        return chosen

    def prune_layer(self, layer: Layer) -> Pruned:
        products = damped(layer.statistics, self.damping)
        mask = keep_of_layer(self._scores(layer.weight, products), layer.kept)
        return mask, refit(layer.weight, products, mask)

    def _scores(self, weight: Tensor, products: Tensor) -> Tensor:
        """What each weight costs when it goes, or what one of its row that goes before it costs, if that is more.

        So the scores of a row rise in the order of removal, and the lowest of all rows are those that go if the row
        with the cheapest next removal is always taken. Weights that the pattern keeps are infinite.
        """
        groups, rows, inputs = weight.shape
        inverses = torch.cholesky_inverse(torch.linalg.cholesky(products))
        group_of = torch.arange(groups, device=weight.device).repeat_interleave(rows)
        size = max(1, CHUNK_BYTES.get(weight.device.type, OTHER_CHUNK_BYTES) // (8 * inputs**2))
        flat = weight.flatten(0, 1)
        parts = torch.arange(len(flat), device=weight.device).split(size)
        return torch.cat([self._row_scores(flat[part], inverses[group_of[part]]) for part in parts]).view_as(weight)

    def _row_scores(self, weight: Tensor, inverse: Tensor) -> Tensor:
        """Those of some rows, (rows, inputs), with the inverse of each, (rows, inputs, inputs), which is changed."""
        scores = torch.full_like(weight, torch.inf)
        highest = weight.new_zeros(len(weight), 1)
        num_groups = weight.shape[1] // self.m
        room = torch.full((len(weight), num_groups + 1), self.m - self.n, device=weight.device)
        state = Elimination(weight, inverse)
        for _ in range(weight.shape[1] if self.pattern == "unstructured" else num_groups * (self.m - self.n)):
            costs = state.costs()
            if self.pattern == "n:m":
                costs = costs.masked_fill(room.gather(1, state.places // self.m) == 0, torch.inf)
            cost, chosen = costs.min(dim=1, keepdim=True)
            places = state.remove(chosen.squeeze(1)).unsqueeze(1)
            highest = torch.maximum(highest, cost)
            scores.scatter_(1, places, highest)
            room.scatter_add_(1, places // self.m, torch.full_like(places, -1))
        return scores
