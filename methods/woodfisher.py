"""WoodFisher: optimal brain surgeon with blocks of the inverse Fisher matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .bases.mask_pruner import MaskPruner
from .parts.fisher import Block, InverseBlock, cut_into_blocks, group_blocks, stack_gradients

BYTES_PER_GRADIENT = 12
"""Of memory for one entry of one gradient: as it is computed, and in float64."""
SHARE_OF_FREE_MEMORY = 0.5
"""Of a GPU. The rest is for the inverses and for what the other runs on it ask for meanwhile."""


@dataclass(kw_only=True)
class WoodFisher(MaskPruner):
    """Remove the weights that cost least after the others have made up for them. Singh & Alistarh, 2020.

    arXiv 2004.14340. With the inverse H of the empirical Fisher matrix, block-diagonal and damped, the saliency is
    w^2 / (2 H_qq), and the weights that stay move by the sum of the single updates -(w_q / H_qq) H e_q of all that go,
    block by block. The paper builds H gradient by gradient; here Woodbury's identity gives the same matrix from all
    gradients at once, in float64, without storing it. Eval mode; the true labels.

    400 gradients, blocks of 2,000 and damping 1e-5 are the paper's for ResNet-50, where each gradient is the mean of
    400 samples and sparsity rises gradually (`schedule: cubic`); one sample a gradient is the Fisher's definition.

    Options:
        fisher_gradients, fisher_batch: number of gradients, and of samples behind each.
        block_size: weights a block, within a layer.
        damping: added to the diagonal of the Fisher matrix.
        update: move the weights that stay.
        memory_mb: what stored gradients may take; on a GPU half of its free memory, if that is more. What does not fit
            is recomputed group by group, with the same numbers.
    """

    label: ClassVar[str] = "WoodFisher"
    family: ClassVar[str] = "one-shot"
    paper: ClassVar[str] = "arXiv 2004.14340"
    needs: ClassVar[str] = "gradients of single samples"
    moves_weights: ClassVar[bool] = True
    search_space: ClassVar[dict[str, object]] = {
        "fisher_gradients": {"low": 100, "high": 1000, "log": True},
        "damping": {"low": 1e-07, "high": 0.001, "log": True},
    }

    fisher_gradients: Annotated[int, Field(ge=1)] = 400
    fisher_batch: Annotated[int, Field(ge=1)] = 1
    block_size: Annotated[int, Field(ge=1)] = 2000
    # few gradients leave the matrix singular, so that it needs some
    damping: Annotated[float, Field(gt=0)] = 1e-5
    update: bool = True
    memory_mb: Annotated[int, Field(ge=1)] = 2048
    _inverse_diagonal: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)
    _stored: list[tuple[Block, InverseBlock]] = field(init=False, repr=False, default_factory=list)

    def prepare_scores(self) -> None:
        self._stored = []
        self._inverse_diagonal = {
            name: torch.empty(site.weight.shape, dtype=torch.float64, device=site.weight.device)
            for name, site in self._masks.sites.items()
        }
        for block, inverse in self._inverses():
            block.of(self._inverse_diagonal).copy_(inverse.diagonal())

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.double().square() / (2 * self._inverse_diagonal[name])

    @torch.no_grad()
    def compensate(self, masks: Mapping[str, Tensor]) -> None:
        """Add -H v block by block, where v is w_q / H_qq at the weights that go and zero elsewhere."""
        if self.update:
            quotients = {
                name: (site.weight.double() / self._inverse_diagonal.pop(name)).mul_(~masks[name]).contiguous()
                for name, site in self._masks.sites.items()
            }
            changes = {name: torch.zeros_like(quotient) for name, quotient in quotients.items()}
            # All changes are computed before one is made: recomputed gradients must be those of these weights.
            for block, inverse in self._inverses():
                block.of(changes).copy_(-inverse.times(block.of(quotients)))
            for name, site in self._masks.sites.items():
                site.weight.add_(changes[name].to(site.weight.dtype))
        self._stored, self._inverse_diagonal = [], {}

    def _memory(self) -> int:
        """Bytes for stored gradients, the same in every process: all of them compute the same groups."""
        context, allowed = self.context, self.memory_mb * 2**20
        if context.device.type != "cuda":
            return allowed
        free = torch.zeros(context.num_ranks, dtype=torch.int64, device=context.device)
        free[context.rank] = int(SHARE_OF_FREE_MEMORY * _free_memory(context.device))
        return max(allowed, int(context.reduce(free).min()))

    def _inverses(self) -> Iterator[tuple[Block, InverseBlock]]:
        """Each block with its inverse, where gradients are zero at what was pruned before.

        From memory if all of them fit; else their gradients are computed group by group, and again the next time.
        """
        if self._stored:
            yield from self._stored
            return
        sites = self._masks.sites
        blocks = cut_into_blocks({name: site.weight.numel() for name, site in sites.items()}, self.block_size)
        groups = group_blocks(blocks, self._memory() // (BYTES_PER_GRADIENT * self.fisher_gradients))
        masks = {name: mask.contiguous() for name, mask in self._masks.items()}
        for group in groups:
            with torch.enable_grad():
                stacks = stack_gradients(self.context, sites, group, self.fisher_gradients, self.fisher_batch)
            for block, stack in zip(group, stacks, strict=True):
                inverse = InverseBlock(stack * block.of(masks), self.damping)
                if len(groups) == 1:
                    self._stored.append((block, inverse))
                yield block, inverse


def _free_memory(device: torch.device) -> int:
    """Bytes of a GPU that no process has, and those that this one keeps for tensors to come."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
