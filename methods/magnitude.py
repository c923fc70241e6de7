"""Magnitude pruning: Global MP and its layer-wise sibling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from .bases.mask_pruner import MaskPruner


@dataclass(kw_only=True)
class GlobalMagnitude(MaskPruner):
    """Rank all weights of the network by magnitude and remove the smallest. Gupta et al., 2022 (arXiv 2209.14624).

    One-shot after training by default, as in the paper. Gradual Global MP is `start: init, schedule: cubic`; the
    paper gives no ramp, the cubic one once an epoch is our completion. Exactly the asked number of weights is kept;
    the released code keeps all ties at the threshold and is off by one or two.
    """

    label: ClassVar[str] = "Global MP"
    paper: ClassVar[str] = "arXiv 2209.14624"
    needs: ClassVar[str] = "weights"
    search_space: ClassVar[dict[str, object]] = {"minimum_threshold": [0.0, 0.01, 0.02, 0.05, 0.1, 0.2]}

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs()


@dataclass(kw_only=True)
class LayerwiseMagnitude(GlobalMagnitude):
    """Remove the same fraction of smallest weights from every layer; each layer keeps at least one if it can."""

    label: ClassVar[str] = "Layerwise MP"
    paper: ClassVar[str] = "Han et al. 2015 (arXiv 1506.02626)"
    needs: ClassVar[str] = "weights"
    search_space: ClassVar[dict[str, object]] = {}

    scope: Literal["global", "layerwise", "erk"] = "layerwise"
