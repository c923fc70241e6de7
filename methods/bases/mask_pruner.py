"""The base class of score-based methods that leave the schedule to the user."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..parts.schedule import Cubic, Exponential, OneShot
from .score_pruner import ScorePruner


@dataclass(kw_only=True)
class MaskPruner(ScorePruner, ABC):
    """A method that says how important each weight is; everything else is an option.

    Options, besides those of ScorePruner:
        schedule: `one_shot`; `cubic` (gradual, during training); `exponential` (`prune_rounds` rounds before training).
        prune_rounds: rounds of `exponential`, each of which scores anew.
        begin, end: first and last pruning event of `cubic`, as fractions of the training.
        every: steps between events of `cubic`; 0: once an epoch.
        power: exponent of the ramp of `cubic`: 3 is Zhu & Gupta's.
        initial_sparsity: of `cubic` at its first event.
    """

    schedules: ClassVar[Mapping[str, type[OneShot]]] = {
        "one_shot": OneShot,
        "cubic": Cubic,
        "exponential": Exponential,
    }

    schedule: Literal["one_shot", "cubic", "exponential"] = "one_shot"
    prune_rounds: Annotated[int, Field(ge=1)] = 1
    begin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    end: Annotated[float, Field(gt=0, le=1)] = 0.75
    every: Annotated[int, Field(ge=0)] = 0
    power: Annotated[float, Field(gt=0)] = 3.0
    initial_sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0
