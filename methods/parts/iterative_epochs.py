"""Rounds and epochs of iterative pruning, without torch: `plan` asks for them before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def num_prunings(sparsity: float, prune_fraction: float, prune_rounds: int) -> int:
    """R: the fewest rounds that reach the sparsity, or `prune_rounds` where no fraction is given."""
    if sparsity == 0:
        return 0
    if prune_fraction == 0:
        return prune_rounds
    return math.ceil(math.log1p(-sparsity) / math.log1p(-prune_fraction) - 1e-9)


def num_rounds(prunings: int, start: str) -> int:
    """Trainings: one a pruning, and from an initialisation the dense one before them."""
    return prunings + 1 if start == "init" else max(1, prunings)


def first_epoch(index: int, start: str, rewind_epoch: int) -> int:
    """The epoch of the recipe at which round `index` starts: 0 for the dense training."""
    return rewind_epoch if index > 0 or start == "trained" else 0


def check_rewind_epoch(rewind_epoch: int, epochs: int) -> None:
    if rewind_epoch > max(0, epochs - 1):
        raise ValueError(f"rewind_epoch is {rewind_epoch}; it must be less than the recipe's {epochs} epochs")


def trained_epochs(epochs: int, sparsity: float, options: Mapping[str, Any]) -> int:
    """Epochs of all rounds of a recipe of `epochs`. Raises ValueError for options that `imp` refuses too."""
    check_rewind_epoch(options["rewind_epoch"], epochs)
    start = options["start"]
    rounds = num_rounds(num_prunings(sparsity, options["prune_fraction"], options["prune_rounds"]), start)
    return sum(epochs - first_epoch(index, start, options["rewind_epoch"]) for index in range(rounds))
