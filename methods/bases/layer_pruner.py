"""Methods that prune once after training, every layer by itself: to the same sparsity, or to N of every M inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...benchmark.api.masks import check_finite
from ...benchmark.api.pruner import Context
from ...benchmark.api.sites import PRUNABLE_LAYERS, RECURRENT_LAYERS, Site
from ..parts.allocation import CountedScores, layer_counts
from ..parts.dense_layers import select
from ..parts.layer_matrix import matrix_of, weight_of
from ..parts.matrix_masks import keep_by_rows, keep_n_of_m, keep_of_layer
from .fixed_mask import FixedMask


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer that is to be pruned.

    Attributes:
        weight: (groups, rows of outputs, inputs), float64.
        kept: how many weights are to stay.
        statistics: of its inputs (see `input_statistics`); empty for a method that needs none.
    """

    weight: Tensor
    kept: int
    statistics: Tensor


Pruned = tuple[Tensor, Tensor | None]
"""Mask and new weights of a layer, (groups, rows, inputs); None leaves those that stay as they are."""


@dataclass(kw_only=True)
class LayerPruner(FixedMask, ABC):
    """A method that says of one layer which weights stay, and maybe how these change; see Wanda.

    Every layer has the sparsity that is asked for, as in the papers: counts are whole numbers near it, by largest
    remainder, that add up exactly; a layer keeps one weight if it can. With `pattern: n:m` every M neighbouring input
    channels of an output keep N, and the sparsity must be 1 - N/M; layers it does not fit stay dense, as in
    `nm_magnitude`, and are listed with the result.

    Options:
        pattern: `unstructured`, or `n:m`.
        n, m: of `n:m`: weights kept of each group, and its size.
        dense: layers left dense, by keyword (first, last, depthwise, shortcut) or name pattern; the sparsity then
            holds over the others.
    """

    pattern: Literal["unstructured", "n:m"] = "unstructured"
    n: Annotated[int, Field(ge=1)] = 2
    m: Annotated[int, Field(ge=2)] = 4
    dense: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pattern == "unstructured":
            for option in fields(self):
                if option.name in ("n", "m") and getattr(self, option.name) != option.default:
                    raise ValueError(f"{option.name} is {getattr(self, option.name)}; it needs pattern: n:m")
        elif self.n >= self.m:
            raise ValueError(f"n is {self.n}; it must be less than m, {self.m}")
        elif abs(self.sparsity - (1 - self.n / self.m)) > 1e-6:
            wanted = f"it must be that of {self.n}:{self.m}, {1 - self.n / self.m:g}"
            raise ValueError(f"sparsity is {self.sparsity}; {wanted}")

    @abstractmethod
    def prune_layer(self, layer: Layer) -> Pruned:
        """Exactly `layer.kept` weights stay, in the pattern."""

    def choose_sites(self, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        chosen = select(sites, self.dense)
        if self.pattern == "n:m":
            chosen = tuple(site for site in chosen if self._fits(site))
            if not chosen:
                raise ValueError(f"no layer fits {self.n}:{self.m}: none has a multiple of {self.m} input channels")
        return chosen

    def _fits(self, site: Site) -> bool:
        kinds = (*PRUNABLE_LAYERS, *RECURRENT_LAYERS, nn.MultiheadAttention)
        return isinstance(site.module, kinds) and site.weight.shape[1] % self.m == 0

    def check(self, context: Context) -> None:
        super().check(context)
        self._counts(self.choose_sites(context.sites))

    def _counts(self, sites: tuple[Site, ...]) -> Mapping[str, int]:
        """How many weights each layer keeps."""
        sizes = {site.name: site.weight.numel() for site in sites}
        if self.pattern == "n:m":
            return {name: size // self.m * self.n for name, size in sizes.items()}
        weights = CountedScores({site.name: site.weight for site in sites}, sizes.__getitem__)
        counts = layer_counts(weights, self.sparsity, "layerwise")
        assert counts is not None
        return counts

    @torch.no_grad()
    def choose_masks(self) -> Mapping[str, Tensor]:
        sites = self._masks.sites
        check_finite({name: site.weight for name, site in sites.items()})
        counts = self._counts(tuple(sites.values()))
        return self.prune_sites(list(sites.values()), counts)

    def prune_sites(self, sites: list[Site], counts: Mapping[str, int]) -> dict[str, Tensor]:
        """The masks of all sites; weights that stay may be changed."""
        masks: dict[str, Tensor] = {}
        for site in sites:
            layer = Layer(weight=self.matrix(site), kept=counts[site.name], statistics=torch.empty(0))
            masks[site.name] = self.set_weight(site, self.prune_layer(layer))
        return masks

    def matrix(self, site: Site) -> Tensor:
        """The weights of a layer as (groups, rows, inputs), in float64."""
        return matrix_of(site, site.weight.detach()).double()

    def set_weight(self, site: Site, pruned: Pruned) -> Tensor:
        """Copies the new weights, if there are any, and returns the mask in the shape of the weight."""
        mask, matrix = pruned
        if matrix is not None:
            site.weight.copy_(weight_of(site, matrix))
        return weight_of(site, mask)

    def keep_in_rows(self, scores: Tensor, kept: int) -> Tensor:
        """The mask of the highest scores where rows are compared with themselves only, or of the pattern."""
        if self.pattern == "n:m":
            return keep_n_of_m(scores, self.n, self.m)
        return keep_by_rows(scores, kept)

    def keep_in_layer(self, scores: Tensor, kept: int) -> Tensor:
        """The mask of the highest scores of the whole layer, or of the pattern."""
        if self.pattern == "n:m":
            return keep_n_of_m(scores, self.n, self.m)
        return keep_of_layer(scores, kept)
