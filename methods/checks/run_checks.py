"""The contract test of one method: the properties that the suite relies on, tested on a tiny network in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...benchmark.api.errors import UserError, raised_at
from ..bases.toy_task import ToyNetwork, ToyRecurrentNetwork
from ..listing.describe import MethodInfo
from ..registry import describe, method_class
from . import checks
from .option_checks import check_options
from .subject import Subject

SPARSITIES = (0.8, 0.5, 0.0)
"""The first that the method accepts is used: a pattern may fix the sparsity, or other options may set it."""
QUICK: dict[str, int] = {"every": 2, "prune_rounds": 10, "fisher_gradients": 20, "calibration_samples": 24}
"""Options whose defaults suit real networks, with their largest values here: steps between mask updates (a training of
a dozen steps would have none), and counts that only cost time."""

CHECKS: dict[str, Callable[[Subject], str]] = {
    "scores are finite floats": checks.check_scores,
    "the target is met exactly": checks.check_target,
    "pruned weights stay zero under SGD": partial(checks.check_masks_hold, optimizer="sgd"),
    "pruned weights stay zero under Adam": partial(checks.check_masks_hold, optimizer="adam"),
    "pruning leaves no trace": checks.check_no_trace,
    "same seed, same bits": checks.check_determinism,
    "killed and resumed equals uninterrupted": checks.check_resume,
    "detach leaves a plain network": checks.check_plain_model,
    "a plan knows what it trains": checks.check_budget,
    "bad options are refused by name": check_options,
    "NaN weights are an error": checks.check_nan,
    "check looks at shapes only": checks.check_before_anything_runs,
}


@dataclass(frozen=True)
class CheckResult:
    """One line of the report: `detail` says what was counted, or why the check failed.

    `passed` is None for a check that was skipped, since the method has nothing that it could test.
    """

    name: str
    passed: bool | None
    detail: str = ""


def check_method(name: str, options: Mapping[str, Any] | None = None) -> list[CheckResult]:
    """Run every check on a registered method; the global random state is left alone.

    Raises UserError for a name that is not registered, a file that does not load, or if the method with these options
    starts on no toy network.
    Whatever else a method does wrong is a failed result, not an error.
    """
    info = describe(name)
    method_class(name)
    with torch.random.fork_rng(devices=[]):
        subject = fit(info, {**quick_options(info), **(options or {})})
        crashes: dict[str, str] = {}
        return [_run(label, check, subject, crashes) for label, check in CHECKS.items()]


def fit(info: MethodInfo, options: Mapping[str, Any]) -> Subject:
    """The method with the first sparsity and network that it accepts."""
    refusals = []
    for sparsity in SPARSITIES:
        for kind in (ToyNetwork, ToyRecurrentNetwork):
            subject = Subject(info, options, sparsity, kind)
            try:
                subject.start()
            except (UserError, ValueError) as error:
                refusals.append(str(error))
            # whatever else it raises, the checks meet it too and report it
            except Exception:
                return subject
            else:
                return subject
    tried = ", ".join(f"{100 * sparsity:g} %" for sparsity in SPARSITIES)
    raise UserError(f"method {info.name!r} starts on no toy network at {tried} sparsity; first reason: {refusals[0]}")


def quick_options(info: MethodInfo) -> dict[str, int]:
    """The method's options that need smaller values on the toy task, with these."""
    known = info.options
    return {name: limit for name, limit in QUICK.items() if name in known and known[name].default > limit}


def _run(label: str, check: Callable[[Subject], str], subject: Subject, crashes: dict[str, str]) -> CheckResult:
    """`crashes`: errors of the method's own code, by the check that met each first: one fails most checks."""
    try:
        return CheckResult(label, True, check(subject))
    except checks.Skipped as reason:
        return CheckResult(label, None, str(reason))
    # A method under test may fail in any way: that is one line of the report, and the other checks still run.
    except Exception as error:
        reason = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        place = raised_at(error, Path(subject.info.origin))
        if not place:
            return CheckResult(label, False, reason)
        first = crashes.setdefault(f"{reason} ({place})", label)
        return CheckResult(label, False, f"{reason} ({place})" if first == label else f"the error of {first!r}")
