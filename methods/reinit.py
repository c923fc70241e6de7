"""Reinitialised weights under another method's mask: is it the mask, or the weights that it was made for?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from .bases.borrowed_mask import BorrowedMask, shuffled


@dataclass(kw_only=True)
class Reinit(BorrowedMask):
    """Take another method's mask, set the network back to an initialisation, and train. Frankle & Carbin, 2019.

    arXiv 1803.03635: the lottery ticket's control. `of` names the other method (with `of_options`); the mask is made on
    the trained network unless `start: init`.

    Options:
        weights: `fresh`, drawn anew; or `original`, those the run's network began with, which makes the one-shot
            lottery ticket. The fresh draw permutes each prunable tensor of the original one: within a tensor the
            entries of an initialisation are independent and alike, so every order is as likely. Biases and batch
            norm are the original ones in both. Frozen parameters stay.
    """

    label: ClassVar[str] = "Reinitialised"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "arXiv 1803.03635"
    needs: ClassVar[str] = "what the other method needs"
    moves_weights: ClassVar[bool] = True

    start: Literal["trained", "init"] = "trained"
    of: str = "global_mp"
    of_options: Any = ()
    weights: Literal["fresh", "original"] = "fresh"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights == "original" and self.start == "init":
            raise ValueError(f"weights: original with start: init is method {self.of!r} itself")

    def choose_masks(self) -> dict[str, Tensor]:
        masks = self.borrow()
        self._reset()
        return masks

    @torch.no_grad()
    def _reset(self) -> None:
        """Weights, biases and statistics as in a network that was just built."""
        assert self.context.rebuild is not None
        model = self.context.model
        frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
        model.load_state_dict({**self.context.rebuild().state_dict(), **frozen})
        if self.weights == "fresh":
            generator = self.context.generator("fresh weights")
            for site in self.context.sites:
                site.weight.copy_(shuffled(site.weight, generator))
