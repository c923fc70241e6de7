"""Random pruning of the untrained network: what a score at initialisation must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .random_pruning import RandomPruning


@dataclass(kw_only=True)
class RandomInit(RandomPruning):
    """Remove initial weights at random, the same fraction of each layer, then train.

    It is `random` with `start: init`. `scope: erk` is the strong random baseline of Liu et al., 2022
    (arXiv 2202.02643).
    """

    label: ClassVar[str] = "Random at init"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control"
    needs: ClassVar[str] = "nothing"

    start: Literal["trained", "init"] = "init"
