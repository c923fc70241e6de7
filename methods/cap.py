"""CAP: optimal brain surgeon within small blocks, one weight after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .parts.elimination import Elimination
from .parts.fisher_spans import Span, fisher_matrices, gradient_spans
from .parts.least_squares import refit
from .woodfisher import WoodFisher

CHUNK_BYTES = {"cpu": 8 * 2**20}
"""Of the inverses of the blocks that are pruned together: they fit into a processor's cache."""
OTHER_CHUNK_BYTES = 2**30
"""On other devices."""


@dataclass(kw_only=True)
class CAP(WoodFisher):
    """Remove the weights of a block one by one, all others adapted each time. Kuznedelev et al., 2023.

    Correlation Aware Prune (arXiv 2210.09223); compared with the authors' code (IST-DASLab/CAP, CAPHandle). WoodFisher
    sums the costs and the updates of single removals; CAP takes the correlations within a block of the Fisher matrix
    into account. With H the inverse of the damped block, the weight that goes next is the one with the least
    w_p^2 / (2 H_pp); the block moves by -(w_p / H_pp) H e_p, and p leaves H by a step of elimination. The score of a
    weight is the sum of the costs of its block up to and with its own removal, and one threshold is set over all
    blocks. So the whole path of a block is computed once, in small matrices for many blocks at a time, whatever the
    sparsity. The weights that stay are those of least squares within the mask, which is what the updates add up to.

    Blocks of 192 weights, 4,096 gradients and damping 1e-8 are the authors' for vision transformers. Their gradients
    are means over batches; one sample a gradient is the Fisher's definition. They enlarge blocks until all of a layer
    are equal; here its last one is smaller. They keep the path of weights and work in float32; here it is the mask
    alone, and float64. In gradual pruning (`schedule: cubic`) theirs starts at 50 % with trained weights, and the
    learning rate starts anew after each event. Their FastCAP, one matrix for all blocks of a layer, is not here.

    Uncertain: method and settings were read in the authors' code, and not in the text of the paper.

    Options, besides those of WoodFisher:
        block_size: weights a block, within a layer; a block takes time with its third power.
        update: move the weights that stay; without it the masks of the first pruning are the same.
        memory_mb: what stored gradients and matrices may take; see WoodFisher.
    """

    label: ClassVar[str] = "CAP"
    paper: ClassVar[str] = "arXiv 2210.09223"
    search_space: ClassVar[dict[str, object]] = {
        "fisher_gradients": {"low": 100, "high": 1000, "log": True},
        "damping": {"low": 1e-08, "high": 0.001, "log": True},
    }

    fisher_gradients: Annotated[int, Field(ge=1)] = 4096
    block_size: Annotated[int, Field(ge=1)] = 192
    damping: Annotated[float, Field(gt=0)] = 1e-8
    _costs: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)
    _matrices: list[tuple[Span, Tensor]] = field(init=False, repr=False, default_factory=list)

    def prepare_scores(self) -> None:
        self._matrices = []
        weights = {name: site.weight.detach().contiguous() for name, site in self._masks.sites.items()}
        self._costs = {name: torch.empty_like(weight, dtype=torch.float64) for name, weight in weights.items()}
        stays = self.update and 8 * self.block_size * self._masks.num_total <= self._memory()
        for span, matrices in self._all_matrices():
            span.of(self._costs).copy_(removal_costs(span.of(weights)[:, 0].double(), matrices)[:, None])
            if stays:
                self._matrices.append((span, matrices))

    def score(self, name: str, weight: Tensor) -> Tensor:
        return self._costs.pop(name)

    @torch.no_grad()
    def compensate(self, masks: Mapping[str, Tensor]) -> None:
        """Within each block, the weights that change the loss least with only those of the mask left."""
        if self.update:
            sites = self._masks.sites
            weights = {name: site.weight.contiguous() for name, site in sites.items()}
            kept = {name: mask.contiguous() for name, mask in masks.items()}
            found = {name: torch.empty_like(weight) for name, weight in weights.items()}
            # All are found before one is set: gradients that are computed anew must be those of these weights.
            for span, matrices in self._matrices or self._all_matrices():
                span.of(found).copy_(refit(span.of(weights).double(), matrices, span.of(kept)))
            for name, site in sites.items():
                site.weight.copy_(found[name])
        self._matrices = []

    def _all_matrices(self) -> Iterator[tuple[Span, Tensor]]:
        batches = self.fisher_gradients, self.fisher_batch
        for span, gradients in gradient_spans(self.context, self._masks, self.block_size, *batches, self._memory()):
            yield span, fisher_matrices(gradients, self.damping)


def removal_costs(weight: Tensor, matrices: Tensor) -> Tensor:
    """Of each weight, what its block has cost when it has gone in greedy order, (blocks, size).

    Args:
        weight: (blocks, size).
        matrices: the damped Fisher matrix of each block, (blocks, size, size). Raises FloatingPointError where one is
            not positive definite.
    """
    room = CHUNK_BYTES.get(weight.device.type, OTHER_CHUNK_BYTES)
    size = max(1, room // (8 * weight.shape[1] ** 2))
    parts = zip(weight.split(size), matrices.split(size), strict=True)
    return torch.cat([_chunk_costs(part, matrix) for part, matrix in parts])


def _chunk_costs(weight: Tensor, matrices: Tensor) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(matrices)
    if failed.any():
        raise FloatingPointError("gradients are not finite, or the damping is lost beside them; raise it")
    state, costs = Elimination(weight, torch.cholesky_inverse(factor)), torch.zeros_like(weight)
    total = weight.new_zeros(len(weight), 1)
    for _ in range(weight.shape[1]):
        cost, chosen = state.costs().min(dim=1, keepdim=True)
        total = total + cost / 2
        costs.scatter_(1, state.remove(chosen.squeeze(1)).unsqueeze(1), total)
    return costs
