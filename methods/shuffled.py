"""Shuffled masks: does a method choose weights, or only layers?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from .bases.borrowed_mask import BorrowedMask, shuffled


@dataclass(kw_only=True)
class Shuffled(BorrowedMask):
    """Permute another method's mask within each layer before training. Frankle et al., 2021 (arXiv 2009.08576).

    Every layer keeps as many weights as under the other method (`of`, with `of_options`), at random places. A method
    that is no better than its shuffled self has found layer densities, not weights.
    """

    label: ClassVar[str] = "Shuffled mask"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "arXiv 2009.08576"
    needs: ClassVar[str] = "what the other method needs"

    start: Literal["trained", "init"] = "init"
    of: str = "snip"
    of_options: Any = ()

    def choose_masks(self) -> dict[str, Tensor]:
        generator = self.context.generator("shuffled mask")
        return {name: shuffled(mask, generator) for name, mask in self.borrow().items()}
