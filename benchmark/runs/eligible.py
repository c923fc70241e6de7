"""The epochs of a training whose accuracy is that of the pruned network, and the mean of the last of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SAME_SPARSITY = 5e-4
"""Epochs within this tolerance are 'at the final sparsity': learned thresholds move by a few weights."""

LAST_EPOCHS = 5
"""Of the mean of the last epochs; of fewer epochs all count."""


def at_final_sparsity(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The epochs with as many weights as the last one."""
    final = history[-1]["density"] if history else None
    return [record for record in history if abs(record["density"] - final) <= SAME_SPARSITY]


def mean_of_last(accuracies: Sequence[float]) -> float | None:
    """Of the last LAST_EPOCHS; None for none."""
    last = accuracies[-LAST_EPOCHS:]
    return math.fsum(last) / len(last) if last else None
