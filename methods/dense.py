"""Dense training: nothing is removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..benchmark.api.pruner import Pruner


@dataclass(kw_only=True)
class Dense(Pruner):
    """Train the network without pruning: the start of other methods, and the upper line of every plot."""

    label: ClassVar[str] = "Dense"

    start: Literal["trained", "init"] = "init"
