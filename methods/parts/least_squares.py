"""The quadratic error of a layer's outputs, and the weights that minimise it.

With H the sum of x x^T over a layer's inputs, ||(W - W') X||^2 is the sum of d H d^T over the rows d of W - W'.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK_BYTES = 64 * 2**20


def damped(products: Tensor, damping: float) -> Tensor:
    """H + damping * (mean of its diagonal) * I, shape (groups, inputs, inputs): it has an inverse.

    Where all inputs are zero it is damping * I, so that weights count by magnitude.
    """
    diagonal = products.diagonal(dim1=1, dim2=2)
    mean = diagonal.mean(dim=1, keepdim=True)
    added = damping * torch.where(mean > 0, mean, 1.0)
    return products + torch.diag_embed(added.expand_as(diagonal))


def reconstruction_error(change: Tensor, products: Tensor) -> Tensor:
    """The sum of d H d^T over all rows d of a change of the weights, shape (groups, rows, inputs)."""
    return ((change @ products) * change).sum()


def refit(weight: Tensor, products: Tensor, mask: Tensor) -> Tensor:
    """The weights within the mask that change the outputs least, shape (groups, rows, inputs), exactly zero outside.

    Row by row the solution of H_SS w'_S = (H w)_S for the inputs S that are kept.
    """
    groups, rows, inputs = weight.shape
    wanted = (weight @ products).reshape(-1, inputs)
    flat = mask.reshape(-1, inputs)
    group_of = torch.arange(groups, device=weight.device).repeat_interleave(rows)
    found = torch.zeros_like(wanted)
    for part in torch.arange(len(flat), device=weight.device).split(max(1, CHUNK_BYTES // (8 * inputs**2))):
        kept = flat[part].to(weight.dtype)
        matrix = products[group_of[part]] * kept[:, :, None] * kept[:, None, :]
        matrix.diagonal(dim1=1, dim2=2).add_(1 - kept)
        factor = torch.linalg.cholesky(matrix)
        found[part] = torch.cholesky_solve((wanted[part] * kept)[:, :, None], factor)[:, :, 0] * kept
    return found.view_as(weight)
