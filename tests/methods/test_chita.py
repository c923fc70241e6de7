"""CHITA: supports and weights against brute force, the worked example, blocks, stages, memory, ranks."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.masks import keep_largest, num_kept
from prunebench.methods.chita import CHITA
from prunebench.methods.parts.sparse_regression import Project, Regression, first_change, sparse_minimum, threshold
from test_cap import Example
from torch import Tensor
from toys import (
    assert_equal_masks,
    kept_positions,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_on_two_ranks,
)

FEW: dict[str, Any] = {"fisher_gradients": 16, "damping": 1e-3}


def keep(count: int) -> Project:
    return lambda vector: keep_largest(vector.abs(), count)


def problem(seed: int, rows: int = 6, entries: int = 8, ridge: float = 0.1) -> Regression:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, entries, generator=generator, dtype=torch.float64)
    centre = torch.randn(entries, generator=generator, dtype=torch.float64)
    return Regression(matrix, matrix @ centre, centre, ridge)


def best_by_brute_force(problem: Regression, count: int) -> float:
    losses: list[float] = []
    for chosen in combinations(range(len(problem.centre)), count):
        mask = torch.zeros(len(problem.centre), dtype=torch.bool)
        mask[list(chosen)] = True
        losses.append(problem.loss(problem.solve(mask)))
    return min(losses)


def test_the_minimum_on_a_support_has_no_gradient_there() -> None:
    example, mask = problem(0), torch.tensor([1, 0, 1, 1, 0, 0, 1, 0], dtype=torch.bool)
    solution = example.solve(mask)
    assert solution[~mask].tolist() == [0.0] * 4
    assert example.gradient(solution)[mask].abs().max() < 1e-12


def test_minima_are_near_those_of_brute_force_and_below_magnitude() -> None:
    excess = []
    for seed in range(20):
        example = problem(seed)
        loss = example.loss(sparse_minimum(example, keep(3), keep(5), 100))
        by_magnitude = example.loss(example.solve(keep(3)(example.centre)))
        best = best_by_brute_force(example, 3)
        assert best - 1e-9 <= loss <= by_magnitude + 1e-9
        excess.append((loss - best) / (by_magnitude - best) if by_magnitude > best + 1e-9 else 0.0)
    # a local search: 5 of 20 are solved exactly, and 8 are better than the support of the largest weights
    assert sum(value < 1e-6 for value in excess) >= 5
    assert sum(value < 0.9 for value in excess) >= 8


def test_a_heavy_ridge_keeps_the_largest_weights_as_they_are() -> None:
    example = problem(3, ridge=1e9)
    found = sparse_minimum(example, keep(3), keep(5), 100)
    assert torch.allclose(found, example.centre * keep(3)(example.centre), atol=1e-6)


def test_thresholding_lowers_the_loss_with_every_iteration() -> None:
    example = problem(5)
    start = example.centre * keep(4)(example.centre)
    losses = [example.loss(threshold(example, start, keep(4), count)) for count in range(8)]
    assert losses[1] < losses[0]
    assert all(later <= earlier for earlier, later in pairwise(losses))


def test_the_step_at_which_the_support_changes() -> None:
    # w - t g = (3 - t, -1 - t / 2, -2 t): the third reaches the second at t = 1 / 1.5
    weight, gradient = torch.tensor([3.0, -1.0, 0.0]), torch.tensor([1.0, 0.5, 2.0])
    assert first_change(weight, gradient) == pytest.approx(1 / 1.5)
    assert first_change(weight, torch.tensor([-1.0, 0.5, 0.0])) == 0.0


def test_the_worked_example() -> None:
    """w = (1, 2, 0.5), rows (1, 0, 2) and (0, 1, 2), ridge 2 * 1: with w3 = 0 left out, r = (1, 1).

    (A A^T + 2 I) has 3 on its diagonal for the first two columns, so both move by 1/3: the numbers of WoodFisher's.
    """
    model = Example()
    data = (torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]]), torch.zeros(2))
    options: dict[str, Any] = {"fisher_gradients": 2, "damping": 1.0, "sparsity": 1 / 3}

    def context(model: Example) -> Any:
        return toy_context(model, data=data, loss=lambda outputs, _: outputs.mean(), input_shape=(3,), num_classes=1)

    masks = prune_now(CHITA(**options), context(model))
    assert kept_positions(masks) == {"layer.weight": [[1, 1, 0]]}
    assert torch.allclose(model.layer.weight, torch.tensor([[4 / 3, 7 / 3, 0.0]]))
    in_blocks = Example()
    prune_now(CHITA(**options, solver="blocks"), context(in_blocks))
    assert torch.allclose(in_blocks.layer.weight, model.layer.weight)
    # with the first-order term r = (0, 0), and nothing moves
    first_order = Example()
    prune_now(CHITA(**options, first_order=True), context(first_order))
    assert torch.allclose(first_order.layer.weight, torch.tensor([[1.0, 2.0, 0.0]]))


@pytest.mark.parametrize("solver", ["iht", "blocks"])
@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_counts_are_exact_and_stages_nest(solver: str, scope: str) -> None:
    pruner = CHITA(sparsity=0.8, solver=solver, scope=scope, schedule="exponential", prune_rounds=3, **FEW)
    seen: list[dict[str, Tensor]] = []
    prune_to = pruner.prune_to

    def recording(sparsity: float) -> None:
        prune_to(sparsity)
        seen.append(pruner.masks.state_dict())

    pruner.prune_to = recording  # type: ignore[method-assign]
    model = tiny_net()
    prune_now(pruner, toy_context(model))
    assert pruner.masks.num_kept == num_kept(356, 0.8)
    assert all(not (later[name] & ~earlier[name]).any() for earlier, later in pairwise(seen) for name in later)
    assert all((model.get_parameter(f"{name}")[~mask] == 0).all() for name, mask in seen[-1].items())


def test_it_is_below_magnitude_with_the_same_fit() -> None:
    """The loss that it minimises, on the gradients of the network before pruning."""
    losses = {}
    for solver in ("iht", "blocks"):
        model = tiny_net()
        pruner = CHITA(sparsity=0.8, solver=solver, **FEW)
        pruner.attach(toy_context(model))
        matrix = pruner._gradients()
        centre = torch.cat([site.weight.detach().reshape(-1) for site in pruner.masks.sites.values()]).double()
        pruner.begin_round(0)
        found = torch.cat([site.weight.detach().reshape(-1) for site in pruner.masks.sites.values()]).double()
        losses[solver] = Regression(matrix, matrix @ centre, centre, 16 * 1e-3).loss(found)
    assert losses["iht"] < losses["blocks"]


def test_resumes_and_agrees_between_ranks() -> None:
    def make() -> CHITA:
        return CHITA(sparsity=0.8, start="init", schedule="cubic", **FEW)

    resume_equals_uninterrupted(make, epochs=2)
    assert_equal_masks(train_on_two_ranks(make, epochs=1))


def test_what_does_not_fit_is_refused_before_anything_runs() -> None:
    context = toy_context(tiny_net())
    with pytest.raises(UserError, match="memory_mb is 1; 500 gradients of 356 weights take 4 MB"):
        CHITA(sparsity=0.5, memory_mb=1).check(context)
    CHITA(sparsity=0.5, memory_mb=1, solver="blocks").check(context)


@pytest.mark.parametrize(
    "options", [{"block_size": 3}, {"solver": "blocks", "first_order": True}, {"solver": "blocks", "max_iterations": 3}]
)
def test_options_without_effect_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no effect with solver"):
        CHITA(sparsity=0.5, **options)
