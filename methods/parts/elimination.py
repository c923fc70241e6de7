"""Removal of inputs from rows of weights, one after the other; the weights that are left adapt each time."""

from __future__ import annotations

import torch
from torch import Tensor

SHRINK = 0.75
"""Inputs that are gone are dropped from the inverses when this share of them is left."""


class Elimination:
    """Rows of weights, each with the inverse of its H over the inputs that it still has.

    Removing w_p costs w_p^2 / [H^-1]_pp, moves the row by -(w_p / [H^-1]_pp) times column p of H^-1, and takes p out of
    H^-1 by a step of Gaussian elimination. Every row has lost as many inputs as the others.
    """

    def __init__(self, weight: Tensor, inverse: Tensor) -> None:
        """`weight` (rows, inputs) is copied, `inverse` (rows, inputs, inputs) is changed."""
        self.weight, self._inverse = weight.clone(), inverse
        self.places = torch.arange(weight.shape[1], device=weight.device).repeat(len(weight), 1)
        """Which input each column is of."""
        self._is_left = torch.ones_like(weight, dtype=torch.bool)
        self._num_left = weight.shape[1]
        self._rows = torch.arange(len(weight), device=weight.device)

    def costs(self) -> Tensor:
        """What removing each column costs, (rows, columns); infinite for those that are gone."""
        diagonal = self._inverse.diagonal(dim1=1, dim2=2)
        return torch.where(self._is_left, self.weight.square() / diagonal, torch.inf)

    def remove(self, chosen: Tensor) -> Tensor:
        """Remove one column of each row; the inputs that they were of."""
        places = self.places[self._rows, chosen]
        column = self._inverse[self._rows, chosen].clone()
        quotient = column / column.gather(1, chosen.unsqueeze(1))
        self.weight -= quotient * self.weight[self._rows, chosen].unsqueeze(1)
        self._inverse.baddbmm_(column.unsqueeze(2), quotient.unsqueeze(1), alpha=-1)
        self._is_left[self._rows, chosen] = False
        self._num_left -= 1
        if 0 < self._num_left <= SHRINK * self.weight.shape[1]:
            self._shrink()
        return places

    def _shrink(self) -> None:
        left = self._is_left.nonzero()[:, 1].view(len(self.weight), -1)
        across = left.unsqueeze(1).expand(-1, self.weight.shape[1], -1)
        down = left.unsqueeze(2).expand(-1, -1, left.shape[1])
        self._inverse = self._inverse.gather(2, across).gather(1, down)
        self.weight, self.places = self.weight.gather(1, left), self.places.gather(1, left)
        self._is_left = torch.ones_like(self.weight, dtype=torch.bool)
