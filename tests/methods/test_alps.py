"""ALPS: its steps against explicit formulas, conjugate gradients against least squares, and errors of the outputs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from layer_problems import correlated, error, fitted, magnitude_mask, pruned, random
from prunebench.methods.alps import ALPS, conjugate_gradients, growth
from prunebench.methods.parts.least_squares import damped, reconstruction_error, refit

WEIGHT, INPUTS = random(4, 8, seed=3), correlated(40, 8)


def scaled() -> tuple[torch.Tensor, torch.Tensor]:
    """H with a diagonal of ones, and the weights to match."""
    products = damped((INPUTS.T @ INPUTS)[None], 0.01)
    scale = products.diagonal(dim1=1, dim2=2).sqrt()
    return products / (scale.unsqueeze(2) * scale.unsqueeze(1)), WEIGHT[None] * scale


def test_two_iterations_by_explicit_formulas() -> None:
    products, target = scaled()
    rho, identity = 0.1, torch.eye(8, dtype=torch.float64)
    kept, dual = 16, torch.zeros_like(target)

    def largest(values: torch.Tensor) -> torch.Tensor:
        return values * magnitude_mask(values, kept)

    sparse = dense = largest(target)
    for _ in range(2):
        dense = (target @ products - dual + rho * sparse) @ torch.linalg.inv(products[0] + rho * identity)
        sparse = largest(dense + dual / rho)
        dual = dual + rho * (dense - sparse)
    found = ALPS(sparsity=0.5, max_iterations=2)._alternate(products, target, kept)
    torch.testing.assert_close(found, dense)


def test_the_penalty_grows_by_the_change_of_the_support() -> None:
    assert [growth(changed) for changed in (1.5, 0.11, 0.1, 0.006, 0.005, 1e-4)] == [1.3, 1.3, 1.2, 1.2, 1.1, 1.1]


def test_a_penalty_that_holds_the_support_is_lowered() -> None:
    """A penalty of 1e4 keeps the first support, that of magnitude, for ever; divided by 5 again and again it moves."""
    products, target = scaled()
    first = magnitude_mask(target, 16)
    stuck = ALPS(sparsity=0.5, rho=1e4, max_iterations=3)
    assert torch.equal(stuck._support(stuck._alternate(products, target, 16), 16), first)
    lowered = ALPS(sparsity=0.5, rho=1e4)
    assert not torch.equal(lowered._support(lowered._alternate(products, target, 16), 16), first)


def test_conjugate_gradients_never_raise_the_error_and_reach_least_squares() -> None:
    """Theorems, with as many steps as a row has weights left."""
    products, target = scaled()
    mask = magnitude_mask(target, 16)
    errors, found = [], target
    for steps in range(9):
        found = conjugate_gradients(products, target @ products, target * mask, mask, steps)
        assert (found[~mask] == 0).all()
        errors.append(float(reconstruction_error(target - found, products)))
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(errors))
    torch.testing.assert_close(found, refit(target, products, mask), rtol=1e-6, atol=1e-8)
    solved = conjugate_gradients(products, target @ products, found, mask, 5)
    torch.testing.assert_close(solved, found, rtol=1e-6, atol=1e-8)  # nothing is divided by zero where it is solved


def test_a_row_without_weights_stays_zero() -> None:
    products, target = scaled()
    mask = torch.zeros_like(target, dtype=torch.bool)
    mask[0, 0, :2] = True
    found = conjugate_gradients(products, target @ products, target * mask, mask, 10)
    assert found.isfinite().all()
    assert (found[~mask] == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_lowers_the_error_of_its_own_mask(seed: int) -> None:
    """Theorems: a fit is no worse than none, and many steps are least squares within the mask."""
    weight, inputs = random(4, 8, seed=seed), correlated(40, 8, seed=seed)
    options: dict[str, Any] = {"sparsity": 0.5, "damping": 1e-9}
    found = {steps: pruned(ALPS(**options, fit_steps=steps), weight, inputs) for steps in (0, 10, 200)}
    masks = [mask for mask, _ in found.values()]
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])
    assert masks[0].sum() == 16
    errors = {steps: error(weight, moved, inputs) for steps, (_, moved) in found.items()}
    assert errors[200] <= errors[10] * (1 + 1e-9) <= errors[0] * (1 + 1e-8)
    assert errors[200] == pytest.approx(error(weight, fitted(weight, inputs, masks[0]), inputs), rel=1e-4)


def test_uncorrelated_inputs_leave_the_best_mask() -> None:
    """By w^2 ||x||^2 over the whole layer: 36, 4, 81 and 1, 100, 9 (seen; the optimum is a fixed point)."""
    inputs = torch.diag(torch.tensor([1.0, 2, 3], dtype=torch.float64))
    weight = torch.tensor([[6.0, 1.0, -3.0], [1.0, 5.0, 1.0]], dtype=torch.float64)
    mask, moved = pruned(ALPS(sparsity=0.5, damping=1e-9), weight, inputs)
    assert mask.int().tolist() == [[1, 0, 1], [0, 1, 0]]
    torch.testing.assert_close(moved, weight * mask)


def test_n_of_m_and_one_sample() -> None:
    mask, moved = pruned(ALPS(sparsity=0.5, pattern="n:m"), WEIGHT, INPUTS[:1])
    assert (mask.unflatten(1, (2, 4)).sum(dim=2) == 2).all()
    assert moved.isfinite().all()
    assert (moved[~mask] == 0).all()
    assert error(WEIGHT, moved, INPUTS[:1]) < error(WEIGHT, WEIGHT * mask, INPUTS[:1])


def test_dead_inputs_go_first_and_keep_their_values() -> None:
    inputs = INPUTS.clone()
    inputs[:, [1, 4]] = 0
    mask, moved = pruned(ALPS(sparsity=1 / 8), WEIGHT, inputs)
    assert mask[:, [1, 4]].sum() == 4
    assert mask.sum() == 28
    assert torch.equal(moved[:, [1, 4]], (WEIGHT * mask)[:, [1, 4]])
