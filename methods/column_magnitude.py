"""Structured Global MP for low-rank recurrent cells: remove ranks by the magnitude of columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.masks import Masks, check_finite, keep_largest
from ..benchmark.api.pruner import Context
from ..benchmark.api.sites import Site
from .bases.fixed_mask import FixedMask


@dataclass(kw_only=True)
class ColumnMagnitude(FixedMask):
    """Keep the largest columns of the first factor of each low-rank matrix. Gupta et al., 2022 (arXiv 2209.14624).

    The paper's structured variant for FastGRNN: W = W1 W2 and U = U1 U2 start at full rank (9 and 80 on HAR-2), the
    columns of W1 and of U1 are ranked by their sums of magnitudes, each matrix by itself, and the network is
    fine-tuned. Its text names "W1 and W2"; only the first factors of W and of U have the ranks that it removes. The
    paired row of the second factor no longer reaches the output and is removed as well. No code was released.

    The ranks decide how much is removed, so `sparsity` stays 0; what is reached is counted.

    Options:
        rank_w, rank_u: ranks kept of the input and of the recurrent matrix. (9, 8), (9, 7) and (8, 7) are the paper's.
        ranking: by `column` (the paper's), or by `product`: the norm of the column times that of its row, which does
            not change when scale moves from one factor to the other.
        apply: zero columns and rows after every `step`; or, as the paper does, only the columns and once per `epoch`.
            Then the columns grow back within an epoch, and the rows, which train along, are removed at the end.
    """

    label: ClassVar[str] = "Global MP (columns)"
    family: ClassVar[str] = "structured"
    paper: ClassVar[str] = "arXiv 2209.14624"
    needs: ClassVar[str] = "weights of a low-rank cell"
    reaches_target: ClassVar[bool] = False

    rank_w: Annotated[int, Field(ge=1)] = 9
    rank_u: Annotated[int, Field(ge=1)] = 8
    ranking: Literal["column", "product"] = "column"
    apply: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sparsity:
            raise ValueError(f"sparsity is {self.sparsity}; it must be 0: rank_w and rank_u say how much is removed")

    def choose_sites(self, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        trained = {(id(site.module), site.attribute) for site in sites}
        chosen = tuple(site for site in sites if _has_pair(site, trained))
        if not chosen:
            raise ValueError("the network has no low-rank cell (a module with `low_rank_pairs`), as fastgrnn has")
        return chosen

    def check(self, context: Context) -> None:
        self._check_ranks(self.choose_sites(context.sites))

    def _check_ranks(self, sites: Iterable[Site]) -> None:
        for first, _, rank in self._factors(sites):
            if rank > first.weight.shape[1]:
                raise ValueError(f"cannot keep rank {rank} of {first.name}: it has {first.weight.shape[1]} columns")

    def choose_masks(self) -> dict[str, Tensor]:
        check_finite({name: site.weight for name, site in self._masks.sites.items()})
        masks: dict[str, Tensor] = {}
        sites = list(self._masks.sites.values())
        self._check_ranks(sites)
        for first, second, rank in self._factors(sites):
            columns = first.weight.detach()
            scores = columns.abs().sum(dim=0)
            if self.ranking == "product":
                scores = columns.norm(dim=0) * second.weight.detach().norm(dim=1)
            kept = keep_largest(scores, rank)
            masks[first.name] = kept.expand_as(columns)
            if self.apply == "step":
                masks[second.name] = kept[:, None].expand_as(second.weight)
        return masks

    def _factors(self, sites: Iterable[Site]) -> Iterator[tuple[Site, Site, int]]:
        """(first factor, second factor, rank kept) of the input and of the recurrent matrix of each cell."""
        sites = list(sites)
        by_attribute = {(id(site.module), site.attribute): site for site in sites}
        cells = {id(site.module): site.module for site in sites}
        for key, cell in cells.items():
            pairs: tuple[tuple[str, str], ...] = getattr(cell, "low_rank_pairs")  # noqa: B009
            for (first, second), rank in zip(pairs, (self.rank_w, self.rank_u), strict=True):
                if (key, first) in by_attribute:
                    yield by_attribute[key, first], by_attribute[key, second], rank

    @property
    def held_masks(self) -> Masks | None:
        return self.masks if self.apply == "step" else None

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        if self.apply == "step":
            self._masks.apply()

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        self._masks.apply()

    def detach(self) -> None:
        """A row without its column reaches nothing: it is removed with it."""
        pairs = [(self._masks[first.name][0], second) for first, second, _ in self._factors(self._masks.sites.values())]
        self._masks.set({second.name: kept[:, None].expand_as(second.weight) for kept, second in pairs})


def _has_pair(site: Site, trained: Collection[tuple[int, str]]) -> bool:
    """Whether both factors of the site's matrix are trained: a rank is removed from both."""
    pairs: tuple[tuple[str, str], ...] = getattr(site.module, "low_rank_pairs", ())
    return any(
        site.attribute in pair and all((id(site.module), factor) in trained for factor in pair) for pair in pairs
    )
