"""CHITA: which weights stay, and their values, as one least-squares problem with a bound on their number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.errors import UserError
from ..benchmark.api.masks import num_kept
from ..benchmark.api.pruner import Context
from .bases.mask_pruner import MaskPruner
from .parts.allocation import CountedScores
from .parts.dense_layers import select
from .parts.fisher import Block, stack_gradients
from .parts.fisher_spans import fisher_matrices, gradient_spans
from .parts.least_squares import refit
from .parts.sparse_regression import Project, Regression, sparse_minimum

ACTIVE_FACTOR = 1.5
"""How many times the weights that are kept the first active set has (authors' code)."""
BYTES_PER_GRADIENT = 20
"""Of memory for one entry of one gradient: in float32, in float64, and among the active columns."""


@dataclass(kw_only=True)
class CHITA(MaskPruner):
    """Choose support and weights together by l0-bounded regression on gradients. Benbaki et al., 2023.

    Combinatorial Hessian-free Iterative Thresholding Algorithm (arXiv 2302.14623); compared with the authors' code
    (mazumder-lab/CHITA). With n gradients as the rows of A and the trained weights w0, the Fisher approximation of the
    loss is ||A (w - w0)||^2 / 2 + n damping ||w - w0||^2 / 2, without a matrix as large as the network. It is minimised
    over w with the wanted number of non-zeros: gradient steps and hard thresholding with a line search, on an active
    set of columns, which grows until no step over all weights brings a new one. On the support that was found the
    minimum is exact, by one n x n system, where the code ends with the last step.

    `solver: blocks` is the authors' way for large networks: the support is that of the largest weights, and they are
    fitted block by block of `block_size` weights. Stages that compute the gradients anew (CHITA++) are
    `schedule: exponential` with `prune_rounds`; the authors' stages follow a cubic ramp.

    500 gradients, damping 1e-4 and blocks of 500 are the authors'; their gradients are means of 16 samples. Weights
    that an earlier stage has pruned stay pruned; theirs may come back. The active set starts from the largest weights,
    as theirs. They refine by coordinate descent in some experiments.

    Uncertain: method and settings were read in the authors' code, and not in the text of the paper; the number of
    iterations in its experiments with `iht` is not in the code either.

    Options, besides those of MaskPruner:
        solver: `iht` or `blocks`.
        fisher_gradients, fisher_batch: number of gradients, and of samples behind each.
        damping: the ridge penalty, for one gradient.
        first_order: count the mean gradient as well, by 1 / fisher_batch as the code does; trained weights have little.
        block_size: weights a block of `blocks`, within a layer.
        max_iterations: of `iht`, and of changes of its active set.
        memory_mb: what gradients may take. `iht` holds all of them and refuses a network that is too large; `blocks`
            computes them group by group.
    """

    label: ClassVar[str] = "CHITA"
    family: ClassVar[str] = "one-shot"
    paper: ClassVar[str] = "arXiv 2302.14623"
    needs: ClassVar[str] = "gradients of single samples"
    moves_weights: ClassVar[bool] = True
    search_space: ClassVar[dict[str, object]] = {
        "fisher_gradients": {"low": 100, "high": 1000, "log": True},
        "damping": {"low": 1e-06, "high": 0.01, "log": True},
    }

    solver: Literal["iht", "blocks"] = "iht"
    fisher_gradients: Annotated[int, Field(ge=1)] = 500
    fisher_batch: Annotated[int, Field(ge=1)] = 1
    damping: Annotated[float, Field(gt=0)] = 1e-4
    first_order: bool = False
    block_size: Annotated[int, Field(ge=1)] = 500
    max_iterations: Annotated[int, Field(ge=1)] = 100
    memory_mb: Annotated[int, Field(ge=1)] = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("first_order", "max_iterations") if self.solver == "blocks" else ("block_size",):
            self._refuse_changed(option, f"has no effect with solver: {self.solver}")

    def check(self, context: Context) -> None:
        super().check(context)
        total = sum(site.weight.numel() for site in select(context.sites, self.dense))
        count = self.fisher_gradients
        needed = math.ceil(BYTES_PER_GRADIENT * count * total / 2**20)
        if self.solver == "iht" and needed > self.memory_mb:
            raise UserError(
                f"memory_mb is {self.memory_mb}; {count} gradients of {total} weights take {needed} MB; "
                "raise it, lower fisher_gradients, or take solver: blocks"
            )

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs()

    def prune_to(self, sparsity: float) -> None:
        if self.solver == "blocks":
            super().prune_to(sparsity)
            return
        self._masks.release()
        weights = {name: site.weight.detach() for name, site in self._masks.sites.items()}
        self._masks.check_finite(weights)
        with torch.no_grad():
            solution = self._split(self._minimum(sparsity))
            self._masks.set(self._chosen(solution, sparsity), kept=num_kept(self._masks.num_total, sparsity))
            for name, weight in weights.items():
                weight.copy_(solution[name])

    def _minimum(self, sparsity: float) -> Tensor:
        """All weights one behind the other, float64; what is not kept is zero."""
        weights = [site.weight.detach().reshape(-1) for site in self._masks.sites.values()]
        matrix, centre = self._gradients(), torch.cat(weights).double()
        target = matrix @ centre - (1 / self.fisher_batch if self.first_order else 0.0)
        seen = matrix.square().sum(dim=0) > 0
        if int(seen.sum()) > num_kept(self._masks.num_total, sparsity):
            # what no sample sees goes first, however large it is
            centre = centre * seen
        problem = Regression(matrix, target, centre, len(matrix) * self.damping)
        density = min(ACTIVE_FACTOR * (1 - sparsity), self._masks.num_kept / self._masks.num_total)
        wide = min(1 - density, sparsity)
        return sparse_minimum(problem, self._project(sparsity), self._project(wide), self.max_iterations)

    def _gradients(self) -> Tensor:
        """(gradients, weights), float64, zero at what is pruned already."""
        sites = self._masks.sites
        blocks = [Block(name, 0, site.weight.numel()) for name, site in sites.items()]
        with torch.enable_grad():
            stacks = stack_gradients(self.context, sites, blocks, self.fisher_gradients, self.fisher_batch)
        matrix = torch.empty(len(stacks[0]), self._masks.num_total, dtype=torch.float64, device=stacks[0].device)
        begin = 0
        for _, mask in self._masks.items():
            torch.mul(stacks.pop(0), mask.reshape(-1), out=matrix[:, begin : begin + mask.numel()])
            begin += mask.numel()
        if not torch.isfinite(matrix).all():
            raise FloatingPointError("gradients are not finite")
        return matrix

    def _split(self, vector: Tensor) -> dict[str, Tensor]:
        sites = self._masks.sites
        parts = vector.split([site.weight.numel() for site in sites.values()])
        return {name: part.view(site.weight.shape) for (name, site), part in zip(sites.items(), parts, strict=True)}

    def _chosen(self, values: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """The masks of the largest values, by scope and minimum threshold, within the present ones."""
        scores = {name: value.abs().masked_fill(~self._masks[name], -torch.inf) for name, value in values.items()}
        return self.allocate(CountedScores(scores, lambda name: self._masks.counts[name]), sparsity)

    def _project(self, sparsity: float) -> Project:
        return lambda vector: torch.cat(
            [mask.reshape(-1) for mask in self._chosen(self._split(vector), sparsity).values()]
        )

    @torch.no_grad()
    def compensate(self, masks: Mapping[str, Tensor]) -> None:
        """Of `solver: blocks`: within each block, the minimum with only the weights of the mask left."""
        sites = self._masks.sites
        weights = {name: site.weight.contiguous() for name, site in sites.items()}
        kept = {name: mask.contiguous() for name, mask in masks.items()}
        found = {name: torch.empty_like(weight) for name, weight in weights.items()}
        batches = self.fisher_gradients, self.fisher_batch
        spans = gradient_spans(self.context, self._masks, self.block_size, *batches, self.memory_mb * 2**20)
        for span, gradients in spans:
            matrices = fisher_matrices(gradients, self.damping)
            span.of(found).copy_(refit(span.of(weights).double(), matrices, span.of(kept)))
        for name, site in sites.items():
            site.weight.copy_(found[name])
