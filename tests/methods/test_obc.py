"""OBC against exhaustive search on tiny layers, least squares, and the elimination behind it."""

from __future__ import annotations

import pytest
import torch
from layer_problems import correlated, error, fitted, least_error, magnitude_mask, pruned, random
from prunebench.benchmark.api.errors import UserError
from prunebench.methods.obc import OBC
from prunebench.methods.parts import elimination
from prunebench.methods.parts.elimination import Elimination
from prunebench.methods.parts.least_squares import refit
from torch import Tensor
from toys import tiny_net, toy_context

EXACT = 1e-12
"""Damping that changes no digit that is compared."""


def without(mask: Tensor, row: int, column: int) -> Tensor:
    tried = mask.clone()
    tried[row, column] = False
    return tried


def greedy(weight: Tensor, inputs: Tensor, steps: int, per_group: int = 0, m: int = 1) -> Tensor:
    """Remove, of all weights left, the one after whose removal the least-squares error of its row grows least.

    A row's next removal is tried on its own; the row with the cheapest one is taken. `per_group`: at most so many of
    every m neighbours.
    """
    mask = torch.ones_like(weight, dtype=torch.bool)

    def row_error(mask: Tensor, row: int) -> float:
        return error(weight[row : row + 1], fitted(weight[row : row + 1], inputs, mask[row : row + 1]), inputs)

    for _ in range(steps):
        growth = {}
        for row, column in mask.nonzero().tolist():
            group = mask[row].unflatten(0, (-1, m))[column // m]
            if not per_group or int((~group).sum()) < per_group:
                growth[row, column] = row_error(without(mask, row, column), row) - row_error(mask, row)
        mask = without(mask, *min(growth, key=lambda place: growth[place]))
    return mask


@pytest.mark.parametrize("seed", range(8))
def test_one_removal_is_the_best_of_all(seed: int) -> None:
    """A theorem: of all weights of the layer, with an exact fit of the others."""
    weight, inputs = random(3, 5, seed=seed), correlated(20, 5, seed=seed)
    mask, moved = pruned(OBC(sparsity=1 / 15, damping=EXACT), weight, inputs)
    full = torch.ones_like(mask)
    errors = {(row, column): error(weight, fitted(weight, inputs, without(full, row, column)), inputs)
              for row in range(3) for column in range(5)}  # fmt: skip
    assert (~mask).nonzero().tolist() == [list(min(errors, key=lambda place: errors[place]))]
    assert error(weight, moved, inputs) == pytest.approx(min(errors.values()))


@pytest.mark.parametrize("removed", [2, 5, 8, 11, 14])
def test_every_step_is_that_of_the_greedy_search(removed: int) -> None:
    weight, inputs = random(3, 5, seed=1), correlated(20, 5, seed=2)
    mask, moved = pruned(OBC(sparsity=removed / 15, damping=EXACT), weight, inputs)
    assert torch.equal(mask, greedy(weight, inputs, removed))
    torch.testing.assert_close(moved, fitted(weight, inputs, mask))


def test_n_of_m_is_the_greedy_search_within_groups() -> None:
    weight, inputs = random(2, 8, seed=1), correlated(30, 8, seed=4)
    mask, moved = pruned(OBC(sparsity=0.5, pattern="n:m", damping=EXACT), weight, inputs)
    assert torch.equal(mask, greedy(weight, inputs, 8, per_group=2, m=4))
    torch.testing.assert_close(moved, fitted(weight, inputs, mask))


@pytest.mark.parametrize("seed", range(6))
def test_reconstruction_errors(seed: int) -> None:
    """No mask beats the exhaustive search (a theorem); no worse than magnitude with a fit (seen in these cases)."""
    weight, inputs = random(1, 8, seed=seed), correlated(40, 8, seed=seed)
    _, moved = pruned(OBC(sparsity=0.5, damping=EXACT), weight, inputs)
    found = error(weight, moved, inputs)
    assert least_error(weight, inputs, 4) <= found * (1 + 1e-9)
    assert found <= error(weight, fitted(weight, inputs, magnitude_mask(weight, 4)), inputs) * (1 + 1e-9)


def test_uncorrelated_inputs_leave_the_best_mask() -> None:
    """A theorem: removals do not touch each other, and costs are w^2 ||x||^2."""
    inputs = torch.diag(torch.tensor([1.0, 2, 3, 4, 5, 6], dtype=torch.float64))
    weight = torch.tensor([[6.0, -1.0, 3.0, 1.0, -2.0, 0.5]], dtype=torch.float64)  # costs 36, 4, 81, 16, 100, 9
    mask, moved = pruned(OBC(sparsity=0.5, damping=EXACT), weight, inputs)
    assert mask.int().tolist() == [[1, 0, 1, 0, 1, 0]]
    torch.testing.assert_close(moved, weight * mask)
    assert error(weight, moved, inputs) == pytest.approx(least_error(weight, inputs, 3))


@pytest.mark.parametrize("shrink", [0.0, 0.75, 1.0])
def test_updates_add_up_to_least_squares(shrink: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where inputs that are gone are dropped from the inverses, after some removals, each, or none."""
    monkeypatch.setattr(elimination, "SHRINK", shrink)
    weight, inputs = random(2, 6), correlated(30, 6)
    products = inputs.T @ inputs
    state = Elimination(weight, torch.linalg.inv(products).repeat(2, 1, 1))
    mask = torch.ones_like(weight, dtype=torch.bool)
    for _ in range(4):
        places = state.remove(state.costs().argmin(dim=1))
        mask[torch.arange(2), places] = False
        left = torch.zeros_like(weight).scatter_(1, state.places, state.weight) * mask
        torch.testing.assert_close(left, refit(weight[None], products[None], mask[None])[0])
    assert state.weight.shape[1] == {0.0: 6, 0.75: 2, 1.0: 2}[shrink]


@pytest.mark.parametrize("samples", [1, 3])
def test_fewer_samples_than_inputs(samples: int) -> None:
    """H is singular without damping. With it weights are finite, exact, and the outputs are nearly kept."""
    weight, inputs = random(4, 10), correlated(samples, 10)
    mask, moved = pruned(OBC(sparsity=0.5), weight, inputs)
    assert mask.sum() == 20
    assert moved.isfinite().all()
    assert error(weight, moved, inputs) < 1e-2 * error(weight, torch.zeros_like(weight), inputs)


def test_dead_inputs_go_first() -> None:
    inputs = correlated(20, 6)
    inputs[:, [1, 4]] = 0
    mask, moved = pruned(OBC(sparsity=1 / 3), random(3, 6), inputs)
    assert (~mask).nonzero()[:, 1].tolist() == [1, 4] * 3
    torch.testing.assert_close(moved[mask], random(3, 6)[mask])


def test_layers_with_too_many_inputs_are_refused_by_name() -> None:
    context = toy_context(tiny_net())
    message = r"cannot prune layer 'conv2\.weight': its outputs have 36 inputs each, more than max_inputs = 20"
    with pytest.raises(UserError, match=message):
        OBC(sparsity=0.5, max_inputs=20).check(context)
    OBC(sparsity=0.5, max_inputs=20, dense=("conv2.weight",)).check(context)
