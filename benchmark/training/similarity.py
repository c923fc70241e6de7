"""How alike the outputs of two networks are: linear centred kernel alignment (CKA).

Source: Kornblith et al., *Similarity of Neural Network Representations Revisited* (arXiv:1905.00414).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CONSTANT = 1e-14
"""Deviations below this share of a value are rounding: a feature of equal values has none."""


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear CKA with the biased HSIC, in [0, 1], computed in float64; nan if an input is constant.

    Few samples raise it: compare values of the same number of samples only, many more than there are features.

    Args:
        first: (samples, features)
        second: (samples, other features), of the same samples

    Raises:
        ValueError: for inputs of another shape.
    """
    if first.dim() != 2 or second.dim() != 2 or len(first) != len(second):
        raise ValueError(f"CKA needs two matrices with a row per sample, not {first.shape} and {second.shape}")
    first, second = _centred(first), _centred(second)
    own = torch.linalg.matrix_norm(first.T @ first) * torch.linalg.matrix_norm(second.T @ second)
    if own == 0:
        return math.nan
    return float(torch.linalg.matrix_norm(first.T @ second) ** 2 / own)


def _centred(features: Tensor) -> Tensor:
    """Each feature minus its mean over samples; exactly zero where only rounding is left."""
    features = features.double()
    centred = features - features.mean(dim=0)
    return torch.where(centred.abs() <= CONSTANT * features.abs(), 0.0, centred)
