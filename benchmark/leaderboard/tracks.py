"""Tracks: which results ask the same question of a method. A track is read from the run and the method's description.

A row is in one track. Controls that train a network of their own are shown in others too (see `settings`).
"""

from __future__ import annotations

from ..runs.run import DENSE
from .schema import Published

TRACKS: dict[str, tuple[str, str]] = {
    "retraining": (
        "Retraining after pruning",
        "a dense network is trained, pruned, and trained again; iterative methods do it several times",
    ),
    "sparse": (
        "Sparse training and pruning at initialisation",
        "no dense training comes first: masks are chosen at initialisation, or change during the one training; "
        "gradual methods begin it with all weights, which their multiply-adds count",
    ),
    "post-training": ("Post-training", "a dense network is trained and pruned, and nothing is trained afterwards"),
    "structured": (
        "Structured",
        "whole filters, channels or ranks go, or N of M neighbours; sparsities are met as nearly as these allow",
    ),
}
"""Title and meaning of each track, in the order of the page."""


def track_of(result: Published) -> str:
    """The key of TRACKS. Empty for plain dense training, which is a reference in all of them."""
    method, run = result.method, result.run
    if method.name == DENSE:
        return ""
    if method.family == "structured" or _is_structured_control(result):
        return "structured"
    if run.get("parent") is None:
        return "retraining" if method.family == "iterative" else "sparse"
    return "retraining" if run["recipe"]["epochs"] > 0 else "post-training"


def is_control(result: Published) -> bool:
    """Whether a row asks what the others' results are due to, instead of being a method that somebody proposes."""
    return result.method.family == "control" or result.method.paper.startswith("control")


def has_own_network(result: Published) -> bool:
    """A control that borrows no mask and trains from initialisation: it answers rows of every track that trains."""
    method = result.method
    return method.family == "control" and not method.borrows and result.run.get("parent") is None


def _is_structured_control(result: Published) -> bool:
    """Of controls on trained weights, those that remove whole parts cannot meet a sparsity by the weight."""
    method = result.method
    return method.family == "control" and method.start == "trained" and not method.reaches_target
