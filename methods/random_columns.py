"""Random ranks of low-rank recurrent cells: what ranking columns by magnitude must beat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .column_magnitude import ColumnMagnitude


@dataclass(kw_only=True)
class RandomColumns(ColumnMagnitude):
    """Keep ranks drawn at random, as many of each matrix as `global_mp_columns` would keep.

    Everything but the choice is that method's: the ranks, when masks are applied, and the paired rows that go with
    their columns. The draw is uniform without replacement and fixed by the run's seed.
    """

    label: ClassVar[str] = "Random columns"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control"
    needs: ClassVar[str] = "a low-rank cell"

    # a ranking has no effect on columns that are drawn at random
    ranking: Literal["column", "product"] = field(init=False, default="column")

    def choose_masks(self) -> dict[str, Tensor]:
        """The masks by magnitude, with the ranks of each matrix in random order."""
        masks = super().choose_masks()
        generator = self.context.generator("random columns")
        for first, second, _ in self._factors(self._masks.sites.values()):
            columns = masks[first.name]
            order = torch.randperm(columns.shape[1], generator=generator).to(columns.device)
            masks[first.name] = columns[:, order]
            if second.name in masks:
                masks[second.name] = masks[second.name][order]
        return masks
