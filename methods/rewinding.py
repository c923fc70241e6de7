"""Iterative pruning with learning-rate rewinding, weight rewinding or fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch

from .lottery_ticket import IterativeMagnitude


@dataclass(kw_only=True)
class Rewinding(IterativeMagnitude):
    """Train, remove a fraction of the smallest weights, retrain with the early learning rates. Renda et al., 2020.

    arXiv 2003.02389: train to the end, remove 20 % of the weights that are left by one threshold over the
    network, set the learning rate back and retrain for the whole original time, and repeat. Trained weights stay. The
    other two ways of the paper to retrain are `rewind: weights`, which is `imp` to a later epoch, and
    `rewind: none`, fine-tuning: the last learning rate of the recipe, for as long.

    Differences to the authors' code (lottery-ticket/rewinding-iclr20-public): each round has a new optimiser, where
    theirs goes on with the momentum; counts are exact, theirs come from a percentile.

    Options, besides those of `imp`:
        rewind: `lr`, `weights`, or `none`, which keeps the rate of the last step of round 0. With a rate that has
            fallen to zero by then (`lr_update: step`, cosine or linear) fine-tuning hardly moves the weights.
        rewind_epoch: k of T: rounds after a pruning train T - k epochs, with `rewind: none` too.
    """

    label: ClassVar[str] = "Iterative LR rewinding"
    paper: ClassVar[str] = "arXiv 2003.02389"

    rewind: Literal["weights", "lr", "none"] = "lr"  # pyright: ignore[reportIncompatibleVariableOverride]
    _round: int = field(init=False, repr=False, default=0)
    _last_rates: tuple[float, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start == "trained" and self.rewind == "none":
            raise ValueError("rewind: none needs start: init, where the last learning rate of the training is seen")

    def begin_round(self, index: int) -> None:
        self._round = index
        super().begin_round(index)

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        if self.rewind == "none" and self._round > 0:
            for group, rate in zip(optimizer.param_groups, self._last_rates, strict=True):
                group["lr"] = rate
        elif step == self.context.total_steps - 1:
            self._last_rates = tuple(float(group["lr"]) for group in optimizer.param_groups)
        return super().on_gradients(step, optimizer)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "round": self._round, "last_rates": list(self._last_rates)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._round, self._last_rates = state["round"], tuple(state["last_rates"])
