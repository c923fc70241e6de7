"""Magnitude pruning with the Erdos-Renyi-Kernel budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .magnitude import GlobalMagnitude


@dataclass(kw_only=True)
class ErkMagnitude(GlobalMagnitude):
    """Remove the smallest weights of each layer; the ERK budget says how many. Evci et al., 2020 (arXiv 1911.11134)."""

    label: ClassVar[str] = "ERK MP"
    paper: ClassVar[str] = "arXiv 1911.11134"
    needs: ClassVar[str] = "weights"
    search_space: ClassVar[dict[str, object]] = {}

    scope: Literal["global", "layerwise", "erk"] = "erk"
