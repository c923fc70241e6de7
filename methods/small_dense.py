"""A smaller dense network of the same size: what pruning has to beat."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from ..benchmark.pruning import find_sites, num_kept
from .base import Context, Pruner


@dataclass(kw_only=True)
class SmallDense(Pruner):
    """Train the widest dense network that has at most as many prunable weights as the pruned one would keep.

    The network is the run's own with its integer option `width` lowered, trained from scratch. Its size is as near to
    the target as whole channels allow, never above; what it has is counted against the original network.

    Options:
        width_option: the option of the network that sets its width; weights must not shrink as it grows.
    """

    label: ClassVar[str] = "Small dense"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control"
    needs: ClassVar[str] = "a network with a width option"
    reaches_target: ClassVar[bool] = False

    start: Literal["trained", "init"] = "init"
    width_option: str = "width"
    width: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start != "init":
            raise ValueError("start: a smaller network cannot start from the trained weights of the original; use init")

    def attach(self, context: Context) -> nn.Module:
        budget = num_kept(sum(site.weight.numel() for site in context.sites), self.sparsity)
        self.width = self._widest(context, budget)
        model = self._build(context, self.width)
        self.context = dataclasses.replace(context, model=model, sites=find_sites(model))
        return model

    def _widest(self, context: Context, budget: int) -> int:
        """The largest width within the budget, by doubling and bisection."""
        if self._num_weights(context, 1) > budget:
            raise ValueError(
                f"sparsity {self.sparsity} leaves {budget} weights, and the network of {self.width_option} 1 has "
                f"{self._num_weights(context, 1)}"
            )
        fits, too_wide = 1, 2
        while self._num_weights(context, too_wide) <= budget:
            fits, too_wide = too_wide, 2 * too_wide
        while too_wide - fits > 1:
            middle = (fits + too_wide) // 2
            if self._num_weights(context, middle) <= budget:
                fits = middle
            else:
                too_wide = middle
        return fits

    def _num_weights(self, context: Context, width: int) -> int:
        return sum(site.weight.numel() for site in find_sites(self._build(context, width)))

    def _build(self, context: Context, width: int) -> nn.Module:
        assert context.rebuild is not None
        return context.rebuild(**{self.width_option: width})
