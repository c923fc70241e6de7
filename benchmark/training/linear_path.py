"""Errors along the straight line between two trained networks (linear mode connectivity; arXiv:2305.18383)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..api.data import Split
from ..runs.run import Recipe
from .batch_norm import estimate_batch_norm
from .evaluate import evaluate

POINTS = 11
"""Points of a path, both ends included."""

BATCH = 64
"""Of the pass that estimates the statistics of batch norm, in file order, not augmented."""


def path_errors(
    model: nn.Module,
    first: Mapping[str, Tensor],
    second: Mapping[str, Tensor],
    split: Split,
    recipe: Recipe,
    device: torch.device,
    input_shape: tuple[int, ...],
    points: int = POINTS,
) -> list[float]:
    """Top-1 errors on a split, as fractions, at equally spaced points from `first` to `second`.

    At each point, the ends included, the statistics of batch norm are estimated anew from the split: those of the ends
    do not fit a network between them. Where both ends are zero, each point is: the path stays within a shared mask.

    Args:
        model: Gives the architecture; it is copied and not changed.
        first: State of one end, as of `state_dict`. Tensors of integers, such as counters, are not interpolated.
        second: State of the other end, with the same names and shapes.
        input_shape: Of one sample.
    """
    between = copy.deepcopy(model).to(device)
    errors = []
    for index in range(points):
        between.load_state_dict(interpolated(first, second, index / (points - 1)))
        estimate_batch_norm(between, split.batches(BATCH, device=device), recipe, device)
        accuracy = evaluate(between, [split], recipe, device, input_shape)[0].accuracy
        if accuracy is None:
            raise ValueError("errors along a path need a split with samples")
        errors.append(1 - accuracy)
    return errors


def interpolated(first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The state at `share` of the way from `first` (0) to `second` (1); exactly the ends at both ends."""
    if first.keys() != second.keys():
        raise ValueError(f"states have different names: {sorted(first.keys() ^ second.keys())}")
    return {
        name: (1 - share) * value + share * second[name] if value.is_floating_point() else value
        for name, value in first.items()
    }
