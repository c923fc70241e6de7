"""SparseGPT: one sweep over the columns of a layer, with updates of the columns to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .bases.calibrated import CalibratedPruner
from .bases.layer_pruner import Layer, Pruned
from .parts.allocation import apportion
from .parts.least_squares import damped
from .parts.matrix_masks import keep_n_of_m, keep_of_layer


@dataclass(kw_only=True)
class SparseGPT(CalibratedPruner):
    """Prune a layer column by column, and let the columns to come make up for each. Frantar & Alistarh, 2023.

    arXiv 2301.00774; compared with the authors' code (IST-DASLab/sparsegpt). With H the damped products of the inputs
    and U the upper Cholesky factor of its inverse (H^-1 = U^T U), w_ij scores w_ij^2 / U_jj^2: what its removal costs
    when the columns before j cannot move any more. Removing it adds -(w_ij / U_jj) U_j: to the row. Masks are chosen
    for `block_size` columns at a time, over all rows of the layer and after the updates by the blocks before, N:M masks
    at the first column of each group.

    Blocks of 128 columns and damping 0.01 are the paper's. Its 128 samples are sequences of 2,048 tokens; see Wanda.
    The code prunes what is at or below a threshold in each block; here counts are exact, by largest remainder over the
    blocks. It sets weights of inputs that are always zero to zero; here they go first as well, and what stays of them
    keeps its value. It sums and factorises in float32, here float64. Columns of a convolution go pixel by pixel, and
    its groups are matrices of their own. `sequential` goes layer by layer, the code block by block.

    Options, besides those of CalibratedPruner:
        block_size: columns of which the mask is chosen together; with `pattern: n:m` a multiple of m.
        damping: share of the mean of H's diagonal that is added to it.
        update: move the weights that stay; without it the masks are those of the first scores.
    """

    label: ClassVar[str] = "SparseGPT"
    family: ClassVar[str] = "post-training"
    paper: ClassVar[str] = "arXiv 2301.00774"
    needs: ClassVar[str] = "layer inputs"
    moves_weights: ClassVar[bool] = True

    block_size: Annotated[int, Field(ge=1)] = 128
    damping: Annotated[float, Field(gt=0)] = 0.01
    update: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pattern == "n:m" and self.block_size % self.m:
            raise ValueError(f"block_size is {self.block_size}; it must be a multiple of m, {self.m}")

    def prune_layer(self, layer: Layer) -> Pruned:
        factor = inverse_factor(damped(layer.statistics, self.damping))
        weight = layer.weight.clone()
        mask = torch.ones_like(weight, dtype=torch.bool)
        blocks = torch.arange(weight.shape[2], device=weight.device).split(self.block_size)
        for block, kept in zip(blocks, self._block_counts(layer, [len(block) for block in blocks]), strict=True):
            columns = slice(int(block[0]), int(block[-1]) + 1)
            own, rows = weight[:, :, columns], factor[:, columns]
            mask[:, :, columns], errors = self._sweep(own, rows[:, :, columns], kept)
            weight[:, :, columns.stop :] -= errors @ rows[:, :, columns.stop :]
        return mask, weight * mask if self.update else None

    def _block_counts(self, layer: Layer, widths: list[int]) -> list[int]:
        """How many weights stay in each block, near its share of the layer's."""
        groups, rows, inputs = layer.weight.shape
        sizes = [groups * rows * width for width in widths]
        share = layer.kept / (groups * rows * inputs)
        return apportion([share * size for size in sizes], sizes, layer.kept)

    def _sweep(self, weight: Tensor, factor: Tensor, kept: int) -> tuple[Tensor, Tensor]:
        """The mask of a block, and what each removal leaves to later blocks. Weights of the block are changed."""
        diagonal = factor.diagonal(dim1=1, dim2=2).unsqueeze(1)
        mask = keep_of_layer((weight / diagonal).square(), kept)
        errors = torch.zeros_like(weight)
        for column in range(weight.shape[2]):
            if self.pattern == "n:m" and column % self.m == 0:
                group = slice(column, column + self.m)
                mask[..., group] = keep_n_of_m((weight[..., group] / diagonal[..., group]).square(), self.n, self.m)
            if self.update:
                gone = torch.where(mask[..., column], 0.0, weight[..., column] / diagonal[..., column])
                weight[..., column:] -= gone.unsqueeze(2) * factor[:, column, column:].unsqueeze(1)
                errors[..., column] = gone
        return mask, errors


def inverse_factor(products: Tensor) -> Tensor:
    """U, upper triangular, with H^-1 = U^T U for each group. U_jj^2 is [H^-1]_jj when the columns before j are gone.

    Raises torch.linalg.LinAlgError for a matrix that is not positive definite.
    """
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(products))
    return torch.linalg.cholesky(inverse, upper=True)
