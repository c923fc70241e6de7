"""A random projection that is never stored as a matrix: Fastfood, Le et al., 2013 (arXiv 1408.3060)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Fastfood:
    """A fixed random matrix P of `total` rows and `dimension` columns, whose columns have norm 1 in expectation.

    P is cut from stacked square blocks H G Q H B: Hadamard matrices, random Gaussians, permutation and signs. It takes
    13 bytes a row of memory and total * log2(dimension) additions a product.
    """

    def __init__(self, total: int, dimension: int, generator: torch.Generator, device: torch.device) -> None:
        self.total, self.dimension = total, dimension
        self._width = 1 << (dimension - 1).bit_length()
        shape = -(-total // self._width), self._width
        # Drawn on the CPU: the same seed is the same matrix on every device.
        self._signs = (2 * torch.randint(0, 2, shape, generator=generator, dtype=torch.int8) - 1).to(device)
        permutations = [torch.randperm(self._width, generator=generator) for _ in range(shape[0])]
        self._permutations = torch.stack(permutations).to(device)
        self._gaussians = torch.randn(shape, generator=generator).to(device)
        self._scale = 1 / math.sqrt(self._width * total)

    def expand(self, position: Tensor) -> Tensor:
        """P x, shape (total,), of x of shape (dimension,)."""
        padded = torch.nn.functional.pad(position, (0, self._width - self.dimension))
        mixed = hadamard(self._signs * padded).gather(1, self._permutations)
        return hadamard(self._gaussians * mixed).reshape(-1)[: self.total] * self._scale

    def contract(self, gradient: Tensor) -> Tensor:
        """P^T g, shape (dimension,), of g of shape (total,)."""
        padded = torch.nn.functional.pad(gradient, (0, self._signs.numel() - self.total)).view(self._signs.shape)
        mixed = self._gaussians * hadamard(padded)
        returned = torch.zeros_like(mixed).scatter_(1, self._permutations, mixed)
        return (self._signs * hadamard(returned)).sum(dim=0)[: self.dimension] * self._scale


def hadamard(rows: Tensor) -> Tensor:
    """Each row times the Hadamard matrix of its length, a power of two, without normalisation."""
    count, width = rows.shape
    half = 1
    while half < width:
        pairs = rows.view(count, width // (2 * half), 2, half)
        first, second = pairs.unbind(dim=2)
        rows = torch.stack((first + second, first - second), dim=2).view(count, width)
        half *= 2
    return rows
