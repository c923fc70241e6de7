"""Dense training for as long as pruning and its training take together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..benchmark.api.pruner import Pruner


@dataclass(kw_only=True)
class DenseLonger(Pruner):
    """Train the dense network on the budget of a pruned one: is the gain of fine-tuning that of more epochs?

    From an initialisation with the `scratch` recipe, whose epochs are then set to those of the dense training and the
    fine-tuning together; or, with `start: trained`, fine-tune the trained network without pruning it.
    """

    label: ClassVar[str] = "Dense, longer"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control"
    needs: ClassVar[str] = "nothing"

    start: Literal["trained", "init"] = "init"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sparsity:
            raise ValueError(f"sparsity is {self.sparsity}; it must be 0: nothing is pruned")
