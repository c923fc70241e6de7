"""Diagonal blocks of the empirical Fisher matrix, many small ones of a layer at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...benchmark.api.masks import Masks
from ...benchmark.api.pruner import Context
from .fisher import Block, cut_into_blocks, group_blocks, stack_gradients

BYTES_PER_GRADIENT = 12
"""Of memory for one entry of one gradient: as it is computed, and in float64."""
SPAN_BYTES = 64 * 2**20
"""Of the matrices, and a quarter of the gradients, that are worked on together."""


@dataclass(frozen=True)
class Span:
    """Equal blocks of one layer, one behind the other, as matrices (blocks, 1, size)."""

    block: Block
    size: int

    def of(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """A view of their entries; the tensors are contiguous."""
        return self.block.of(tensors).view(-1, 1, self.size)


def cut_into_spans(sizes: Mapping[str, int], block_size: int, num_gradients: int) -> list[Span]:
    """Spans as SPAN_BYTES allows, or of one block; the last block of a layer may be smaller."""
    weights = min(SPAN_BYTES // (8 * block_size), 4 * SPAN_BYTES // (BYTES_PER_GRADIENT * num_gradients))
    wide = block_size * max(1, weights // block_size)
    spans: list[Span] = []
    for block in cut_into_blocks(sizes, wide):
        whole = (block.stop - block.start) // block_size * block_size
        bounds = (block.start, block.start + whole, block.stop)
        for start, stop in pairwise(bounds):
            if stop > start:
                spans.append(Span(Block(block.name, start, stop), min(block_size, stop - start)))
    return spans


def gradient_spans(
    context: Context, masks: Masks, block_size: int, num_gradients: int, batch_size: int, memory: int
) -> Iterator[tuple[Span, Tensor]]:
    """Each span with its gradients, (blocks, gradients, size) in float64, zero at what is pruned already.

    As many spans at a time as fit into `memory` bytes: the gradients are computed anew for each group of them.
    """
    sizes = {name: mask.numel() for name, mask in masks.items()}
    span_of = {span.block: span for span in cut_into_spans(sizes, block_size, num_gradients)}
    kept = {name: mask.contiguous() for name, mask in masks.items()}
    for group in group_blocks(list(span_of), memory // (BYTES_PER_GRADIENT * num_gradients)):
        with torch.enable_grad():
            stacks = stack_gradients(context, masks.sites, group, num_gradients, batch_size)
        for block in group:
            span = span_of[block]
            stack = stacks.pop(0) * block.of(kept)
            yield span, stack.double().view(len(stack), -1, span.size).transpose(0, 1)


def fisher_matrices(gradients: Tensor, damping: float) -> Tensor:
    """F + damping I of each block, (blocks, size, size); F is the mean of g g^T over the gradients."""
    matrices = gradients.mT @ gradients / gradients.shape[1]
    matrices.diagonal(dim1=1, dim2=2).add_(damping)
    return matrices
