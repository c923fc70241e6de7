"""The empirical Fisher matrix: gradients of small batches, its diagonal, and inverses of its diagonal blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...benchmark.api.pruner import Context
from ...benchmark.api.sites import Site
from .scoring import untouched


def batch_gradients(
    context: Context, sites: Sequence[Site], num_gradients: int, batch_size: int
) -> Iterator[dict[str, Tensor]]:
    """The gradient of the mean loss of each of `num_gradients` batches, by site name, in eval mode.

    With several processes each yields its part of them; together they are those that one process would yield. Batch
    norm stands still, so that the gradient of a batch of one is that of a sample. Raises ValueError where the
    gradients cannot be shared out evenly.
    """
    if num_gradients % context.num_ranks:
        raise ValueError(f"fisher_gradients = {num_gradients} must be a multiple of the {context.num_ranks} processes")
    # Every process is given its share of each batch: asked for so many, its share is one whole batch.
    batches = context.samples(num_gradients * batch_size, batch_size * context.num_ranks)
    # Once around all batches: to save and restore the network's state takes longer than one small gradient.
    with untouched(context.model, training=False):
        weights = [site.weight.requires_grad_(True) for site in sites]
        for inputs, targets in batches:
            loss = context.loss(context.model(inputs), targets)
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
            yield {
                site.name: torch.zeros_like(site.weight) if gradient is None else gradient
                for site, gradient in zip(sites, gradients, strict=True)
            }


def fisher_diagonal(context: Context, sites: Sequence[Site], num_gradients: int, batch_size: int) -> dict[str, Tensor]:
    """Mean squared gradient of each weight, float64, by site name, over all processes."""
    totals = {site.name: torch.zeros_like(site.weight, dtype=torch.float64) for site in sites}
    count = torch.zeros((), dtype=torch.float64, device=context.device)
    for gradients in batch_gradients(context, sites, num_gradients, batch_size):
        for name, gradient in gradients.items():
            totals[name] += gradient.double().square()
        count += 1
        del gradients  # as large as the network, while the next ones are made
    context.reduce(count)
    return {name: context.reduce(total).div_(count) for name, total in totals.items()}


@dataclass(frozen=True)
class Block:
    """Consecutive weights of one layer, flattened: positions `start` to `stop`."""

    name: str
    start: int
    stop: int

    def of(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """A view of the block's entries."""
        return tensors[self.name].view(-1)[self.start : self.stop]


def cut_into_blocks(sizes: Mapping[str, int], block_size: int) -> list[Block]:
    """Blocks of at most `block_size` weights; none reaches over two layers."""
    return [
        Block(name, start, min(start + block_size, size))
        for name, size in sizes.items()
        for start in range(0, size, block_size)
    ]


def group_blocks(blocks: Sequence[Block], max_weights: int) -> list[list[Block]]:
    """Consecutive blocks in groups of at most `max_weights` weights, or one block where that alone is larger."""
    groups: list[list[Block]] = []
    room = 0
    for block in blocks:
        size = block.stop - block.start
        if not groups or size > room:
            groups.append([])
            room = max_weights
        groups[-1].append(block)
        room -= size
    return groups


def stack_gradients(
    context: Context, sites: Mapping[str, Site], blocks: Sequence[Block], num_gradients: int, batch_size: int
) -> list[Tensor]:
    """For each block the gradients of all batches as rows, float32, shape (batches, block size), from all processes."""
    involved = [sites[name] for name in dict.fromkeys(block.name for block in blocks)]
    rows: list[list[Tensor]] = [[] for _ in blocks]
    for gradients in batch_gradients(context, involved, num_gradients, batch_size):
        contiguous = {name: gradient.contiguous() for name, gradient in gradients.items()}
        for collected, block in zip(rows, blocks, strict=True):
            collected.append(block.of(contiguous).float().clone())
    counts = _rows_per_rank(context, len(rows[0]))
    return [_gather_rows(context, torch.stack(collected), counts) for collected in rows]


def _rows_per_rank(context: Context, count: int) -> list[int]:
    """How many gradients each process has. Raises RuntimeError where `reduce` and `num_ranks` do not agree."""
    counts = torch.zeros(context.num_ranks, dtype=torch.int64, device=context.device)
    counts[context.rank] = count
    context.reduce(counts)
    if counts[context.rank] != count:
        raise RuntimeError(f"process {context.rank} of {context.num_ranks}: reduce sums over another number of them")
    return counts.tolist()


def _gather_rows(context: Context, own: Tensor, counts: Sequence[int]) -> Tensor:
    """The rows of all processes in the order of their ranks: each fills its own place, and the sum is the whole."""
    if context.num_ranks == 1:
        return own
    gathered = torch.zeros(sum(counts), own.shape[1], device=own.device)
    first = sum(counts[: context.rank])
    gathered[first : first + len(own)] = own
    return context.reduce(gathered)


class InverseBlock:
    """(F + damping I)^-1 for F = G^T G / m, where G holds m gradients as rows; in float64, never formed.

    Woodbury's identity: only an m x m matrix is factorised, whatever the size of the block.
    """

    def __init__(self, gradients: Tensor, damping: float) -> None:
        self._gradients = gradients.double()
        self._damping = damping
        gram = self._gradients @ self._gradients.T
        gram.diagonal().add_(len(gradients) * damping)
        self._factor, failed = torch.linalg.cholesky_ex(gram)
        if failed:
            raise FloatingPointError(f"gradients are not finite, or the damping of {damping} is lost beside them")

    def diagonal(self) -> Tensor:
        """Its diagonal. Raises FloatingPointError where rounding made it not positive."""
        solved = torch.cholesky_solve(self._gradients, self._factor)
        diagonal = (1 - (self._gradients * solved).sum(dim=0)) / self._damping
        if not (diagonal > 0).all():
            raise FloatingPointError(f"the inverse Fisher matrix is not positive at damping {self._damping}; raise it")
        return diagonal

    def times(self, vector: Tensor) -> Tensor:
        """Its product with a vector of float64."""
        inner = torch.cholesky_solve((self._gradients @ vector)[:, None], self._factor)[:, 0]
        return (vector - self._gradients.T @ inner) / self._damping
