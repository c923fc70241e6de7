"""Magnitude pruning of the untrained network: what a score at initialisation must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .magnitude import GlobalMagnitude


@dataclass(kw_only=True)
class MagnitudeInit(GlobalMagnitude):
    """Remove the smallest initial weights over the whole network, then train. Frankle et al., 2021 (arXiv 2009.08576).

    It is `global_mp` with `start: init`. Where layers are initialised with a variance of their own, the order between
    layers is that of their variances.
    """

    label: ClassVar[str] = "Magnitude at init"
    family: ClassVar[str] = "at initialisation"
    paper: ClassVar[str] = "arXiv 2009.08576"
    needs: ClassVar[str] = "weights"
    search_space: ClassVar[dict[str, object]] = {"minimum_threshold": [0.0, 0.01, 0.02, 0.05, 0.1, 0.2]}

    start: Literal["trained", "init"] = "init"
