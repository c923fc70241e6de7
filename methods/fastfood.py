"""A random projection that is never stored as a matrix: Fastfood, Le et al., 2013 (arXiv 1408.3060)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


class Fastfood:
    """A fixed random matrix P of `total` rows and `dimension` columns, whose columns have norm 1 in expectation.

    P is cut from stacked square blocks H G Q H B: Hadamard matrices, random Gaussians, permutation and signs. It takes
    9 bytes a row of memory and total * log2(dimension) additions a product.
    """

    def __init__(self, total: int, dimension: int, generator: torch.Generator, device: torch.device) -> None:
        self.total, self.dimension = total, dimension
        self._width = 1 << (dimension - 1).bit_length()
        shape = -(-total // self._width), self._width
        # Drawn on the CPU: the same seed is the same matrix on every device.
        self._signs = (2 * torch.randint(0, 2, shape, generator=generator, dtype=torch.int8) - 1).to(device)
        permutations = [torch.randperm(self._width, generator=generator).int() for _ in range(shape[0])]
        self._permutations = torch.stack(permutations).to(device)
        self._gaussians = torch.randn(shape, generator=generator).to(device)
        self._scale = 1 / math.sqrt(self._width * total)

    def expand(self, position: Tensor, sizes: Iterable[int]) -> Iterator[Tensor]:
        """P x of x of shape (dimension,), in pieces of these sizes, each shape (size,): never all rows at once."""
        return regroup(self._products(position), sizes)

    def _products(self, position: Tensor) -> Iterator[Tensor]:
        padded = torch.nn.functional.pad(position, (0, self._width - self.dimension))
        for part in self._parts():
            mixed = hadamard(self._signs[part] * padded).gather(1, self._permutations[part].long())
            yield hadamard(self._gaussians[part] * mixed).mul_(self._scale).view(-1)

    def contract(self, pieces: Iterable[Tensor]) -> Tensor:
        """P^T g, shape (dimension,), of g in pieces of any shape, `total` numbers together."""
        returned = torch.zeros(self._width, device=self._gaussians.device)
        shapes = [self._gaussians[part].shape for part in self._parts()]
        parts = regroup(pieces, [shape.numel() for shape in shapes])
        for part, shape, rows in zip(self._parts(), shapes, parts, strict=True):
            mixed = self._gaussians[part] * hadamard(rows.view(shape))
            unmixed = torch.zeros_like(mixed).scatter_(1, self._permutations[part].long(), mixed)
            returned += (self._signs[part] * hadamard(unmixed)).sum(dim=0)
        return returned[: self.dimension] * self._scale

    def _parts(self) -> list[slice]:
        """Blocks that are worked on at once: an eighth of them, since each product takes several times their size."""
        count = len(self._signs)
        size = max(1, count // 8)
        return [slice(start, start + size) for start in range(0, count, size)]


def regroup(pieces: Iterable[Tensor], sizes: Iterable[int]) -> Iterator[Tensor]:
    """The numbers of consecutive pieces in pieces of other sizes, zeros after the last.

    A piece is asked for when it is due, and let go before the next one.
    """
    waiting = (piece.reshape(-1) for piece in pieces if piece.numel())
    piece = next(waiting)
    for size in sizes:
        group, filled = piece.new_zeros(size), 0
        while filled < size:
            if not len(piece):
                following = next(waiting, None)
                if following is None:
                    break
                piece = following
            taken = piece[: size - filled]
            group[filled : filled + len(taken)] = taken
            filled, piece = filled + len(taken), piece[len(taken) :]
        yield group


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
