"""ALPS: alternating directions for the support, conjugate gradients for the weights on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .bases.calibrated import CalibratedPruner
from .bases.layer_pruner import Layer, Pruned
from .parts.least_squares import damped

GROWTH = ((0.1, 1.3), (0.005, 1.2), (0.0, 1.1))
"""Of the penalty: the factor behind the first share that the change of the support is above."""
SHRINKING = 5.0
"""What a penalty is divided by that keeps the support where it was."""
SETTLED = 3e-4
"""After `min_iterations`, a change of the support below this share ends the iteration."""


@dataclass(kw_only=True)
class ALPS(CalibratedPruner):
    """Choose the support by ADMM with a rising penalty, then fit the weights on it. Meng et al., 2024.

    arXiv 2406.07831; compared with the authors' code (mazumder-lab/ALPS), whose constants these are. H, the products of
    the inputs with damping 0.01, is scaled to a diagonal of ones, and so are the weights W. In turn B minimises
    tr((B - W) H (B - W)^T) / 2 + rho ||B - D + V / rho||^2 / 2, D keeps the largest entries of B + V / rho over the
    layer, or of each group of N:M, and V grows by rho (B - D). Every `update_every` turns rho grows, the more the more
    the support of D has changed, and the iteration ends when it has not. If the support hardly changes before rho has
    grown for the first time, rho is divided by 5 and the iteration begins anew. Conjugate gradients on the support of
    the largest entries of B follow.

    The code begins anew only where the support has changed a little, and goes on where it has not changed at all; here
    both begin anew. It works in float32, here it is float64. Convolutions are unfolded as in the code. For samples and
    `sequential` see Wanda.

    Options:
        damping: share of the mean of H's diagonal that is added to it.
        rho: first penalty.
        max_iterations, min_iterations: of ADMM.
        update_every: iterations between updates of the penalty.
        fit_steps: of conjugate gradients; 0 leaves what ADMM found.
    """

    label: ClassVar[str] = "ALPS"
    family: ClassVar[str] = "post-training"
    paper: ClassVar[str] = "arXiv 2406.07831"
    needs: ClassVar[str] = "layer inputs"
    moves_weights: ClassVar[bool] = True

    damping: Annotated[float, Field(gt=0)] = 0.01
    rho: Annotated[float, Field(gt=0)] = 0.1
    max_iterations: Annotated[int, Field(ge=1)] = 300
    min_iterations: Annotated[int, Field(ge=0)] = 30
    update_every: Annotated[int, Field(ge=1)] = 3
    fit_steps: Annotated[int, Field(ge=0)] = 10

    def prune_layer(self, layer: Layer) -> Pruned:
        products = damped(layer.statistics, self.damping)
        scale = products.diagonal(dim1=1, dim2=2).sqrt()
        products = products / (scale.unsqueeze(2) * scale.unsqueeze(1))
        target = layer.weight * scale.unsqueeze(1)
        found = self._alternate(products, target, layer.kept)
        mask = self._support(found, layer.kept)
        fitted = conjugate_gradients(products, target @ products, found * mask, mask, self.fit_steps)
        return mask, fitted / scale.unsqueeze(1)

    def _support(self, values: Tensor, kept: int) -> Tensor:
        """The mask of the largest entries."""
        return self.keep_in_layer(values.square(), kept)

    def _alternate(self, products: Tensor, target: Tensor, kept: int) -> Tensor:
        """B at the end of the iteration, (groups, rows, inputs); `target` are the dense weights."""
        values, vectors = torch.linalg.eigh(products)
        goal = target @ products
        first = self._support(target, kept)
        dense, sparse, dual, support = target, target * first, torch.zeros_like(target), first
        rho, has_grown = self.rho, False
        for iteration in range(1, self.max_iterations + 1):
            spectrum = (1 / (values + rho)).unsqueeze(1)
            dense = ((goal - dual + rho * sparse) @ vectors * spectrum) @ vectors.mT
            shifted = dense + dual / rho
            mask = self._support(shifted, kept)
            sparse = shifted * mask
            dual = dual + rho * (dense - sparse)
            if iteration % self.update_every:
                continue
            changed = int((mask != support).sum()) / max(1, kept)
            support = mask
            if (has_grown and changed == 0) or (iteration > self.min_iterations and changed < SETTLED):
                break
            if has_grown or changed > GROWTH[1][0]:
                rho, has_grown = rho * growth(changed), True
            else:
                rho /= SHRINKING
                sparse, dual, support = target * first, torch.zeros_like(target), first
        return dense


def growth(changed: float) -> float:
    """What the penalty is multiplied by if the support has changed by this share of the weights kept."""
    return next(factor for share, factor in GROWTH if changed > share)


def conjugate_gradients(products: Tensor, goal: Tensor, start: Tensor, mask: Tensor, steps: int) -> Tensor:
    """Steps towards x with x H = goal at the entries of the mask; zero elsewhere. Every row is a system of its own.

    The error (x - w) H (x - w)^T of a row, where goal = w H, never grows; as many steps as entries reach its minimum.

    Args:
        products: H, (groups, inputs, inputs), positive definite; with a diagonal of ones it needs no preconditioner.
        goal, start, mask: (groups, rows, inputs).
    """
    found, residual = start, (goal - start @ products) * mask
    direction, size = residual, residual.square().sum(dim=2, keepdim=True)
    for _ in range(steps):
        image = (direction @ products) * mask
        curvature = (direction * image).sum(dim=2, keepdim=True)
        # A row that is solved has no direction left.
        length = torch.where(curvature > 0, size / curvature, 0.0)
        found = found + length * direction
        residual = residual - length * image
        before, size = size, residual.square().sum(dim=2, keepdim=True)
        direction = residual + torch.where(before > 0, size / before, 0.0) * direction
    return found
