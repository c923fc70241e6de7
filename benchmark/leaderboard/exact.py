"""Whether a result has the sparsity that it claims, counted again from its layers."""

from __future__ import annotations

import math

from ..runs.run import DENSE
from .schema import Published


def inexact(result: Published) -> str:
    """What is wrong, in a line; empty where it is exact, failed, dense, or of a method that sets its own sparsity.

    Of the N weights of the layers that the method prunes, N - floor(S N) are kept; all sparsities are 1 - kept / N of
    all layers.
    """
    measured = result.measured
    if measured is None:
        return ""
    where = f"run {result.id} ({result.label})"
    sparsity, target = measured.sparsity, float(result.run.get("sparsity", 0.0))
    counted = 1 - sparsity.kept / sparsity.prunable
    if abs(counted - sparsity.achieved) > 1e-9 and result.method.reaches_target:
        return f"{where}: sparsity.achieved is {sparsity.achieved:.9g}, its layers have {counted:.9g}"
    if result.method.name == DENSE or not result.method.reaches_target:
        return ""
    pruned = [layer for layer in measured.layers if not layer.is_dense]
    total, kept = sum(layer.total for layer in pruned), sum(layer.kept for layer in pruned)
    wanted = total - math.floor(target * total + 1e-9)
    if kept != wanted:
        return f"{where}: {kept:,} of {total:,} weights are kept, a sparsity of {target * 100:g} % keeps {wanted:,}"
    return ""
