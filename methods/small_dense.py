"""A smaller dense network of the same size: what pruning has to beat."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from ..benchmark.api.errors import UserError
from ..benchmark.api.masks import num_kept
from ..benchmark.api.pruner import Context, Pruner
from ..benchmark.api.sites import find_sites

FRACTION = 2.0**-10
"""The step in which widths are searched: for 1,024 channels one channel."""


@dataclass(kw_only=True)
class SmallDense(Pruner):
    """Train the widest dense network that has at most as many prunable weights as the pruned one would keep.

    The network is the run's own with its option `width` lowered, trained from scratch. Its size is as near to the
    target as whole channels in every layer allow, never above; what it has is counted against the original network.

    Options:
        width_option: the option of the network that sets its width; weights must not shrink as it grows. Searched in
            steps of 1/1024, or of 1 where the network takes whole numbers only.
    """

    label: ClassVar[str] = "Small dense"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control"
    needs: ClassVar[str] = "a network with a width option"
    reaches_target: ClassVar[bool] = False
    keeps_network: ClassVar[bool] = False

    start: Literal["trained", "init"] = "init"
    width_option: str = "width"
    width: float = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start != "init":
            raise ValueError("start: a smaller network cannot start from the trained weights of the original; use init")

    def check(self, context: Context) -> None:
        self._check_least(context, self._step(context), self._budget(context))

    def attach(self, context: Context) -> nn.Module:
        self.width = self._widest(context, self._budget(context))
        model = self._build(context, self.width)
        self.context = dataclasses.replace(context, model=model, sites=find_sites(model))
        return model

    def _widest(self, context: Context, budget: int) -> float:
        """The largest width within the budget, by doubling and bisection over the steps."""
        step = self._step(context)
        self._check_least(context, step, budget)
        fits, too_wide = 1, 2
        while self._num_weights(context, step * too_wide) <= budget:
            fits, too_wide = too_wide, 2 * too_wide
        while too_wide - fits > 1:
            middle = (fits + too_wide) // 2
            if self._num_weights(context, step * middle) <= budget:
                fits = middle
            else:
                too_wide = middle
        return step * fits

    def _budget(self, context: Context) -> int:
        return num_kept(sum(site.weight.numel() for site in context.sites), self.sparsity)

    def _check_least(self, context: Context, step: float, budget: int) -> None:
        least = self._num_weights(context, step)
        if least > budget:
            raise ValueError(
                f"sparsity {self.sparsity} leaves {budget} weights, and the network of {self.width_option} {step:g} "
                f"has {least}"
            )

    def _step(self, context: Context) -> float:
        """FRACTION, or 1 for a network that refuses it."""
        try:
            self._build(context, FRACTION)
        except UserError:
            return 1
        return FRACTION

    def _num_weights(self, context: Context, width: float) -> int:
        return sum(site.weight.numel() for site in find_sites(self._build(context, width)))

    def _build(self, context: Context, width: float) -> nn.Module:
        assert context.rebuild is not None
        return context.rebuild(**{self.width_option: width})
