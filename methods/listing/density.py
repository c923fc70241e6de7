"""How dense a network is over a training, from what a method's class and options declare. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .describe import MethodInfo

AT_ONCE = ("one_shot", "exponential", "held")
"""Values of the option `schedule` whose prunings are all before the training."""


def mean_density(info: MethodInfo, sparsity: float, options: Mapping[str, Any]) -> float | None:
    """The share of the prunable weights that are there, as a mean over the epochs of the run's own training.

    Known are masks that are set before the training, those of a constant number of weights, and the cubic ramp. None
    for what only the running method knows: learned thresholds, alternating phases, several rounds, another network.
    """
    if not info.keeps_network:
        return None
    if sparsity == 0:
        return 1.0 if info.reaches_target else None
    if not info.reaches_target or info.epochs_rule != "":
        return None
    known = {name: option.default for name, option in info.options.items()} | dict(options)
    schedule = known.get("schedule")
    if schedule == "cubic":
        return _ramp(sparsity, known)
    is_constant = schedule in AT_ONCE or (schedule is None and ("distribution" in known or bool(info.borrows)))
    return 1 - sparsity if is_constant else None


def _ramp(sparsity: float, options: Mapping[str, Any]) -> float:
    """Dense until `begin`, from `initial_sparsity` to the sparsity until `end`, and there to the end of the training.

    The integral of the ramp of `methods.parts.schedule.cubic`. Pruning in steps, once an epoch, keeps a little more.
    """
    begin, end, power = (float(options[name]) for name in ("begin", "end", "power"))
    during = 1 - sparsity + (sparsity - options["initial_sparsity"]) / (power + 1)
    return begin + (end - begin) * during + (1 - end) * (1 - sparsity)
