"""Errors of the outputs of one layer by method: what theory says, and what is seen on layers of 16 outputs."""

from __future__ import annotations

import pytest
import torch
from layer_problems import error, fitted, magnitude_mask, pruned, random
from prunebench.methods.parts.least_squares import damped, reconstruction_error, refit
from prunebench.methods.registry import create
from torch import Tensor


def layer(correlation: float, seed: int) -> tuple[Tensor, Tensor]:
    """16 x 32 weights, and 200 inputs whose neighbours are correlated."""
    places = torch.arange(32, dtype=torch.float64)
    covariance = correlation ** (places[:, None] - places).abs()
    return random(16, 32, seed=seed + 50), random(200, 32, seed=seed) @ torch.linalg.cholesky(covariance).T


@pytest.mark.parametrize("sparsity", [0.5, 0.8])
@pytest.mark.parametrize("correlation", [0.3, 0.9])
@pytest.mark.parametrize("seed", [0, 1])
def test_errors_by_method(correlation: float, sparsity: float, seed: int) -> None:
    """Seen, no theorem: OBC and ALPS beat least squares on the mask of magnitude; SparseGPT beats magnitude as it is.

    SparseGPT does not beat the fit: its columns to the left cannot move any more.
    """
    weight, inputs = layer(correlation, seed)
    mask = magnitude_mask(weight, 512 - int(sparsity * 512))
    plain, fit = error(weight, weight * mask, inputs), error(weight, fitted(weight, inputs, mask), inputs)
    errors = {name: error(weight, pruned(create(name, sparsity, {}), weight, inputs)[1], inputs)
              for name in ("sparsegpt", "obc", "alps")}  # fmt: skip
    assert errors["obc"] < fit
    assert errors["alps"] < fit
    assert errors["alps"] == pytest.approx(errors["obc"], rel=0.05)
    assert fit < errors["sparsegpt"] < plain


@pytest.mark.parametrize("method", ["sparsegpt", "obc", "alps"])
def test_patterns_cost_more_than_free_masks(method: str) -> None:
    """Seen, no theorem."""
    weight, inputs = layer(0.6, 0)
    free = error(weight, pruned(create(method, 0.5, {}), weight, inputs)[1], inputs)
    bound = error(weight, pruned(create(method, 0.5, {"pattern": "n:m"}), weight, inputs)[1], inputs)
    assert free < bound < error(weight, torch.zeros_like(weight), inputs)


def test_refit_is_least_squares_within_the_mask() -> None:
    """Theorem, against torch's solver: no other weights within the mask have a smaller error."""
    weight, inputs = layer(0.9, 3)
    mask = magnitude_mask(weight, 200)
    found = fitted(weight, inputs, mask)
    for row in range(16):
        kept = mask[row]
        solved = torch.linalg.lstsq(inputs[:, kept], inputs @ weight[row]).solution
        torch.testing.assert_close(found[row, kept], solved)
    assert (found[~mask] == 0).all()
    change = (weight - found)[None]
    torch.testing.assert_close(
        float(reconstruction_error(change, (inputs.T @ inputs)[None])), error(weight, found, inputs)
    )


def test_damping_is_relative_and_makes_an_inverse() -> None:
    products = torch.tensor([[[4.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    expected = [[[4.2, 0.0], [0.0, 0.2]], [[0.1, 0.0], [0.0, 0.1]]]
    torch.testing.assert_close(damped(products, 0.1), torch.tensor(expected, dtype=torch.float64))


def test_refit_in_groups_and_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row meets the H of its own group, whatever number of rows is solved at a time."""
    weight, inputs = random(2, 3, 5), random(2, 20, 5, seed=1)
    products, mask = inputs.mT @ inputs, magnitude_mask(weight, 18)
    whole = refit(weight, products, mask)
    monkeypatch.setattr("prunebench.methods.parts.least_squares.CHUNK_BYTES", 1)
    torch.testing.assert_close(refit(weight, products, mask), whole)
    for group in range(2):
        torch.testing.assert_close(whole[group], fitted(weight[group], inputs[group], mask[group]))
