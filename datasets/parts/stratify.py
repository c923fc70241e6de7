"""Class-stratified subsets that are the same on every machine and in every run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...benchmark.api.errors import UserError

Indices = NDArray[np.int64]


def choose(targets: Indices, count: int, *, seed: int, keep_rest: bool) -> tuple[Indices, Indices]:
    """`count` indices with the class shares of `targets`, at least one a class; and the rest. Both ascending.

    Args:
        targets: (n,) class of each sample.
        keep_rest: Leave at least one sample of each class in the rest.
    """
    sizes = np.bincount(targets)
    counts = allocate(sizes, count, sizes - 1 if keep_rest else sizes)
    # RandomState, not default_rng: its streams are frozen by numpy's compatibility policy
    random = np.random.RandomState(seed)
    chosen = np.zeros(len(targets), dtype=bool)
    by_class = np.split(np.argsort(targets, kind="stable"), np.cumsum(sizes)[:-1])
    for members, wanted in zip(by_class, counts, strict=True):
        chosen[random.permutation(members)[:wanted]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def choose_groups(groups: Indices, fraction: float, *, seed: int) -> tuple[Indices, Indices]:
    """Indices of whole groups (subjects), about `fraction` of them and at least one; and the rest. Both ascending."""
    names = np.unique(groups)
    count = max(1, round(fraction * len(names)))
    if count == len(names):
        raise UserError(f"validation={fraction} takes all {len(names)} groups of the training set")
    random = np.random.RandomState(seed)
    chosen = np.isin(groups, random.permutation(names)[:count])
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def allocate(sizes: Indices, total: int, capacity: Indices) -> Indices:
    """Whole numbers near sizes * total / sum(sizes), between 1 and `capacity`, that add up to `total`.

    The largest remainder gets the next one; ties go to the lower class.
    """
    if not len(sizes) <= total <= capacity.sum() or capacity.min() < 1:
        raise UserError(
            f"cannot choose {total} samples with at least one of each of {len(sizes)} classes; "
            f"the rarest has {sizes.min()}, all together {sizes.sum()}"
        )
    quotas = sizes * (total / sizes.sum())
    counts = np.clip(np.floor(quotas).astype(np.int64), 1, capacity)
    while counts.sum() < total:
        counts[np.argmax(np.where(counts < capacity, quotas - counts, -np.inf))] += 1
    while counts.sum() > total:
        counts[np.argmax(np.where(counts > 1, counts - quotas, -np.inf))] -= 1
    return counts
