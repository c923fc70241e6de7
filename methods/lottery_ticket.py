"""Iterative magnitude pruning: train, prune, rewind, repeat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from .base import Context
from .lamp import lamp_scores
from .mask_pruner import MaskPruner


@dataclass(kw_only=True)
class IterativeMagnitude(MaskPruner):
    """Train, remove a fraction of the smallest weights that are left, rewind, and train again. Frankle & Carbin, 2019.

    arXiv 1803.03635; rewinding to a later epoch and of the learning rate: Renda et al., 2020 (arXiv 2003.02389). Every
    round runs the recipe once, so R pruning rounds from an initialisation cost R + 1 trainings. The last round ends at
    the sparsity exactly. With the defaults it is the lottery ticket: a fifth of the survivors a round, over the whole
    network, back to the initial weights. Each round has a new optimiser, without momentum from the epoch it rewinds
    to; the original code removes one weight more a round.

    Options:
        prune_fraction: share of the surviving weights that a round removes; 0: `prune_rounds` rounds by equal factors.
        rewind: before the next round, weights and batch norm go back to those at `rewind_epoch` (`weights`), or only
            the learning rate goes back to that epoch's and the trained weights stay (`lr`).
        rewind_epoch: k; rounds after a pruning train the recipe from epoch k on.
        ranking: `magnitude`, or `lamp` scores (with `rewind: lr`, the procedure of the LAMP paper, arXiv 2010.07611).
        start: `init`, round 0 is the dense training; `trained` (with `rewind: lr`) prunes the shared one at once.
    """

    label: ClassVar[str] = "IMP"
    family: ClassVar[str] = "iterative"
    paper: ClassVar[str] = "arXiv 1803.03635"
    needs: ClassVar[str] = "weights, several trainings"

    start: Literal["trained", "init"] = "init"
    schedule: Literal["one_shot", "cubic", "exponential"] = "exponential"
    prune_fraction: float = 0.2
    rewind: Literal["weights", "lr"] = "weights"
    rewind_epoch: int = 0
    ranking: Literal["magnitude", "lamp"] = "magnitude"
    _rewind_state: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse_changed(("schedule",), "has no effect: weights are pruned between trainings")
        if not 0.0 <= self.prune_fraction < 1.0:
            raise ValueError(f"prune_fraction must be in [0, 1), not {self.prune_fraction}")
        if self.prune_fraction > 0:
            self._refuse_changed(("prune_rounds",), f"needs prune_fraction: 0, not {self.prune_fraction}")
        if self.rewind not in ("weights", "lr"):
            raise ValueError(f"rewind must be weights or lr, not {self.rewind!r}")
        if self.rewind_epoch < 0:
            raise ValueError(f"rewind_epoch must be >= 0, not {self.rewind_epoch}")
        if self.start == "trained" and self.rewind == "weights":
            raise ValueError("rewind: weights needs start: init, where the weights of the early epochs are seen")
        if self.ranking not in ("magnitude", "lamp"):
            raise ValueError(f"ranking must be magnitude or lamp, not {self.ranking!r}")
        if self.ranking == "lamp" and self.scope != "global":
            raise ValueError(f"ranking: lamp needs scope: global, not {self.scope}; within a layer it is magnitude")

    @property
    def num_prunings(self) -> int:
        """R: the fewest rounds that reach the sparsity, or `prune_rounds`."""
        if self.sparsity == 0:
            return 0
        if self.prune_fraction == 0:
            return self.prune_rounds
        return math.ceil(math.log1p(-self.sparsity) / math.log1p(-self.prune_fraction) - 1e-9)

    @property
    def rounds(self) -> int:
        return self.num_prunings + 1 if self.start == "init" else max(1, self.num_prunings)

    def first_epoch(self, index: int) -> int:
        return self.rewind_epoch if index > 0 or self.start == "trained" else 0

    def sparsity_after(self, pruning: int) -> float:
        """The sparsity after the `pruning`-th pruning, 1 to R."""
        if pruning >= self.num_prunings:
            return self.sparsity
        if self.prune_fraction > 0:
            return 1 - (1 - self.prune_fraction) ** pruning
        return 1 - (1 - self.sparsity) ** (pruning / self.num_prunings)

    def score(self, name: str, weight: Tensor) -> Tensor:
        return lamp_scores(weight) if self.ranking == "lamp" else weight.abs()

    def check(self, context: Context) -> None:
        super().check(context)
        self._check_rewind_epoch(context)

    def attach(self, context: Context) -> nn.Module:
        self._check_rewind_epoch(context)
        return super().attach(context)

    def _check_rewind_epoch(self, context: Context) -> None:
        if self.rewind_epoch > max(0, context.epochs - 1):
            raise ValueError(f"rewind_epoch must be less than the recipe's {context.epochs} epochs")

    def begin_round(self, index: int) -> None:
        if self.start == "init" and index == 0:
            self._remember(epoch=0)
            return
        self.prune_to(self.sparsity_after(index if self.start == "init" else index + 1))
        if self.rewind == "weights":
            self.context.model.load_state_dict(self._rewind_state)
            self._masks.apply()

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        if index == 0 and self.start == "init":
            self._remember(epoch=epoch + 1)

    def _remember(self, epoch: int) -> None:
        """Keep the network as it is at the beginning of the epoch that is rewound to."""
        if self.rewind == "weights" and epoch == self.rewind_epoch:
            state = self.context.model.state_dict()
            self._rewind_state = {name: tensor.detach().clone() for name, tensor in state.items()}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "rewind": dict(self._rewind_state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._rewind_state = dict(state["rewind"])
