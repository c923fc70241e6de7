"""A random projection that is never stored as a matrix: Fastfood, Le et al., 2013 (arXiv 1408.3060)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

FEW = 2**15
"""So many numbers are worked on at once in any case: their memory is nothing, and each call costs time."""


class Fastfood:
    """A fixed random matrix P of `total` rows and `dimension` columns, whose columns have norm 1 in expectation.

    P is cut from stacked square blocks H G Q H B: Hadamard matrices, random Gaussians, permutation and signs. It takes
    8 bytes a row of memory and total * log2(dimension) additions a product.
    """

    def __init__(self, total: int, dimension: int, generator: torch.Generator, device: torch.device) -> None:
        self.total, self.dimension = total, dimension
        self._width = 1 << (dimension - 1).bit_length()
        shape = -(-total // self._width), self._width
        # Drawn on the CPU: the same seed is the same matrix on every device.
        flips = torch.randint(0, 2, shape, generator=generator, dtype=torch.int8) == 0
        # Signs and permutations share four bytes: ~i is position i of a column whose sign is negative.
        self._codes = torch.empty(shape, dtype=torch.int32)
        for codes, flip in zip(self._codes, flips, strict=True):
            order = torch.randperm(self._width, generator=generator).int()
            codes.copy_(torch.where(flip, ~order, order))
        self._codes = self._codes.to(device)
        self._gaussians = torch.randn(shape, generator=generator).to(device)
        self._scale = 1 / math.sqrt(self._width * total)

    def expand(self, position: Tensor, sizes: Iterable[int]) -> Iterator[Tensor]:
        """P x of x of shape (dimension,), in pieces of these sizes, each shape (size,): never all rows at once."""
        return regroup(self._products(position), sizes)

    def _products(self, position: Tensor) -> Iterator[Tensor]:
        padded = torch.nn.functional.pad(position, (0, self._width - self.dimension))
        for part in self._parts():
            mixed = torch.empty_like(self._gaussians[part])
            unmixed = hadamard(self._flip(padded.repeat(len(mixed), 1), part))
            for columns, order in self._orders(part):
                torch.gather(unmixed, 1, order, out=mixed[:, columns])
            del unmixed
            yield hadamard(mixed.mul_(self._gaussians[part])).mul_(self._scale).view(-1)

    def contract(self, pieces: Iterable[Tensor]) -> Tensor:
        """P^T g, shape (dimension,), of g in pieces of any shape, `total` numbers together."""
        returned = torch.zeros(self._width, device=self._gaussians.device)
        shapes = [self._gaussians[part].shape for part in self._parts()]
        parts = regroup(pieces, [shape.numel() for shape in shapes])
        for part, shape, rows in zip(self._parts(), shapes, parts, strict=True):
            mixed = hadamard(rows.view(shape)).mul_(self._gaussians[part])
            unmixed = torch.empty_like(mixed)
            for columns, order in self._orders(part):
                unmixed.scatter_(1, order, mixed[:, columns])
            del rows, mixed
            returned += self._flip(hadamard(unmixed), part).sum(dim=0)
        return returned[: self.dimension] * self._scale

    def _orders(self, part: slice) -> Iterator[tuple[slice, Tensor]]:
        """The permutations some columns at a time: as indices they are twice as large as the numbers they permute."""
        size = max(self._width // 8, FEW)
        for start in range(0, self._width, size):
            columns = slice(start, start + size)
            codes = self._codes[part, columns]
            yield columns, torch.where(codes < 0, ~codes, codes).long()

    def _flip(self, rows: Tensor, part: slice) -> Tensor:
        """Times the signs of the columns, in place."""
        return torch.where(self._codes[part] < 0, rows.neg(), rows, out=rows)

    def _parts(self) -> list[slice]:
        """Blocks that are worked on at once: an eighth of them, since each product takes several times their size."""
        count = len(self._codes)
        size = max(1, count // 8, FEW // self._width)
        return [slice(start, start + size) for start in range(0, count, size)]


def regroup(pieces: Iterable[Tensor], sizes: Iterable[int]) -> Iterator[Tensor]:
    """The numbers of consecutive pieces in pieces of other sizes, zeros after the last.

    A piece is asked for when it is due, and neither it nor what is made of it is held on to.
    """
    waiting = iter(pieces)
    rest = [next(waiting).reshape(-1)]
    for size in sizes:
        yield _fill(size, rest, waiting)


def _fill(size: int, rest: list[Tensor], waiting: Iterator[Tensor]) -> Tensor:
    """The next numbers; `rest` holds what is left of the piece that they were taken from."""
    group, filled = rest[0].new_zeros(size), 0
    while filled < size:
        if not len(rest[0]):
            following = next(waiting, None)
            if following is None:
                break
            rest[0] = following.reshape(-1)
        taken = rest[0][: size - filled]
        group[filled : filled + len(taken)] = taken
        filled, rest[0] = filled + len(taken), rest[0][len(taken) :]
    return group


def hadamard(rows: Tensor) -> Tensor:
    """Each row times the Hadamard matrix of its length, a power of two, without normalisation. Works in place."""
    count, width = rows.shape
    half = 1
    while half < width:
        first, second = rows.view(count, width // (2 * half), 2, half).unbind(dim=2)
        difference = first - second
        first.add_(second)
        second.copy_(difference)
        half *= 2
    return rows
