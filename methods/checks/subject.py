"""The method under test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ...benchmark.api.pruner import Pruner
from ..bases.toy_task import ToyNetwork, toy_network
from ..listing.describe import MethodInfo
from ..registry import create
from .trial import ToyTask, Trial


@dataclass(frozen=True)
class Subject:
    """A method with the options, the sparsity and the kind of network that it is tested with."""

    info: MethodInfo
    options: Mapping[str, Any]
    sparsity: float
    kind: type[nn.Module] = ToyNetwork

    def make(self, **changes: Any) -> Pruner:
        return create(self.info.name, self.sparsity, {**self.options, **changes})

    def network(self) -> nn.Module:
        return toy_network(kind=self.kind)

    def start(self, task: ToyTask | None = None, **options: Any) -> Trial:
        """A trial that has not begun."""
        return Trial(self.make(), self.network(), task, **options)
