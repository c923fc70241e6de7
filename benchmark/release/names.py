"""Names of released networks: DATA SET/NETWORK/ROW/SPARSITY/SEED, such as `digits/convnet-small/global_mp/95/0`."""

from __future__ import annotations

import re

from ...methods.registry import describe
from ..runs.run import Run

SHAPE = "DATASET/NETWORK/METHOD/SPARSITY/SEED"

_PART = "[a-z0-9][a-z0-9._-]*"
_NAME = re.compile("/".join([_PART] * SHAPE.count("/") + [_PART]))
"""A name is a path below the release's folder: no part begins with a dot, so none leads out of it."""


def is_name(text: str) -> bool:
    """Whether it has the shape of a network's name."""
    return _NAME.fullmatch(text) is not None


def name_of(run: Run, label: str) -> str:
    """The name of a run's network.

    A row with the method's own label goes by the method's name, other rows by their labels. Sparsity is in percent. A
    retraining of a seed has the number of the retraining after it: `0.1`.
    """
    row = run.method if label == describe(run.method).label else _slug(label) or run.method
    seed = f"{run.seed}.{run.retrain_seed}" if run.retrain_seed else str(run.seed)
    return "/".join([_slug(run.dataset), _slug(run.model), row, f"{100 * run.sparsity:.10g}", seed])


def _slug(text: str) -> str:
    """`Global MP (gradual)` is `global-mp-gradual`."""
    return re.sub("[^a-z0-9._]+", "-", text.lower()).strip("-._")
