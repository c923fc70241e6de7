"""N:M sparsity by magnitude, the pattern that sparse tensor cores run (2:4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.masks import check_finite
from ..benchmark.api.sites import PRUNABLE_LAYERS, RECURRENT_LAYERS, Site
from .bases.fixed_mask import FixedMask
from .parts.dense_layers import select

HARDWARE_MULTIPLES = (8, 16)
"""Outputs and inputs that NVIDIA's ASP asks of a layer before it prunes it to 2:4."""


@dataclass(kw_only=True)
class NmMagnitude(FixedMask):
    """Of every M weights in a row along the input channels keep the N largest. Mishra et al., 2021 (arXiv 2104.08378).

    One-shot after training; then train with the same recipe, as ASP does. The sparsity is that of the pattern, 1 - N/M
    of the layers it fits; give it as `sparsity`, or 0. Layers it does not fit (transposed convolutions and bilinear
    layers are among them) stay dense and are listed with the result. Ties go to the lower index. Groups never cross a
    pixel of the kernel: the axis of input channels is cut, as in ASP and SR-STE.

    Options:
        n, m: weights kept of each group, and its size.
        rule: a layer is pruned if its input channels are a multiple of m (`divisible`), or if also its outputs are a
            multiple of 8 and its inputs of 16 (`hardware`, ASP's test).
        dense: layers left dense, by keyword (first, last, depthwise, shortcut) or name pattern.
    """

    label: ClassVar[str] = "N:M magnitude"
    family: ClassVar[str] = "structured"
    paper: ClassVar[str] = "arXiv 2104.08378"
    needs: ClassVar[str] = "weights"
    reaches_target: ClassVar[bool] = False

    n: Annotated[int, Field(ge=1)] = 2
    m: Annotated[int, Field(ge=2)] = 4
    rule: Literal["divisible", "hardware"] = "divisible"
    dense: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n >= self.m:
            raise ValueError(f"n is {self.n}; it must be less than m, {self.m}")
        pattern = 1 - self.n / self.m
        if self.sparsity and abs(self.sparsity - pattern) > 1e-6:
            raise ValueError(f"sparsity is {self.sparsity}; it must be that of {self.n}:{self.m}, {pattern:g}, or 0")

    def choose_sites(self, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        chosen = tuple(site for site in select(sites, self.dense) if self._fits(site))
        if not chosen:
            raise ValueError(f"no layer fits {self.n}:{self.m} with rule: {self.rule}")
        return chosen

    def _fits(self, site: Site) -> bool:
        if not isinstance(site.module, (*PRUNABLE_LAYERS, *RECURRENT_LAYERS, nn.MultiheadAttention)):
            return False
        outputs, inputs = site.weight.shape[:2]
        is_aligned = outputs % HARDWARE_MULTIPLES[0] == 0 and inputs % HARDWARE_MULTIPLES[1] == 0
        return inputs % self.m == 0 and (self.rule == "divisible" or is_aligned)

    def choose_masks(self) -> dict[str, Tensor]:
        weights = {name: site.weight for name, site in self._masks.sites.items()}
        check_finite(weights)
        return {name: nm_mask(weight, self.n, self.m) for name, weight in weights.items()}


def nm_mask(weight: Tensor, n: int, m: int) -> Tensor:
    """Mask of the n largest magnitudes of every m weights along axis 1, whose length is a multiple of m."""
    inputs_last = weight.detach().abs().movedim(1, -1)
    groups = inputs_last.reshape(-1, m)
    kept = groups.argsort(dim=1, descending=True, stable=True)[:, :n]
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(1, kept, True)
    return mask.view(inputs_last.shape).movedim(-1, 1)
