"""Random subspace: the projection against explicit matrices, the chain rule, and how much is trained."""

from __future__ import annotations

import pytest
import scipy.linalg
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prunebench.methods.parts.fastfood import Fastfood, hadamard, regroup
from prunebench.methods.random_subspace import RandomSubspace
from torch.nn.functional import cross_entropy
from toys import make_optimizer, prune_now, resume_equals_uninterrupted, tiny_data, tiny_net, toy_context, train_all

CPU = torch.device("cpu")


def projection(total: int, dimension: int, seed: int = 0) -> Fastfood:
    return Fastfood(total, dimension, torch.Generator().manual_seed(seed), CPU)


def as_matrix(fastfood: Fastfood) -> torch.Tensor:
    return torch.stack([next(fastfood.expand(row, [fastfood.total])) for row in torch.eye(fastfood.dimension)], dim=1)


@pytest.mark.parametrize("width", [1, 2, 8, 64])
def test_hadamard_is_the_textbook_matrix(width: int) -> None:
    expected = torch.tensor(scipy.linalg.hadamard(width), dtype=torch.float32)
    assert torch.equal(hadamard(torch.eye(width)), expected)


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 100))
def test_contract_is_the_transpose_of_expand(total: int, dimension: int, seed: int) -> None:
    fastfood = projection(total, dimension, seed)
    gradient = torch.randn(total, generator=torch.Generator().manual_seed(seed))
    in_pieces = fastfood.contract(gradient.split(3))
    assert torch.allclose(in_pieces, as_matrix(fastfood).T @ gradient, atol=1e-4)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.lists(st.integers(1, 5), max_size=6))
def test_regrouped_numbers_keep_their_order_and_end_in_zeros(given: list[int], wanted: list[int]) -> None:
    numbers = torch.arange(1.0, sum(given) + 1)
    assume(len(numbers))
    groups = list(regroup(numbers.split(given), wanted))
    assert [len(group) for group in groups] == wanted
    padded = torch.cat([numbers, torch.zeros(sum(wanted))])
    assert torch.equal(torch.cat([torch.empty(0), *groups]), padded[: sum(wanted)])


def test_columns_have_norm_one_and_are_nearly_orthogonal() -> None:
    matrix = as_matrix(projection(20_000, 50))
    gram = matrix.T @ matrix
    assert torch.allclose(gram.diag(), torch.ones(50), atol=0.1)
    assert (gram - gram.diag().diag()).abs().max() < 0.1
    assert not torch.equal(matrix, as_matrix(projection(20_000, 50, seed=1)))


@pytest.mark.parametrize(("sparsity", "trained"), [(0.0, 356), (0.9, 36), (0.99, 4)])
def test_as_many_numbers_are_trained_as_pruning_would_keep(sparsity: float, trained: int) -> None:
    pruner = RandomSubspace(sparsity=sparsity)
    model, _ = train_all(pruner, toy_context(tiny_net()))
    assert pruner.state_dict()["position"].numel() == trained
    assert sum(p.numel() for group in pruner.param_groups(0.0, True) for p in group["params"]) == trained
    moved = torch.cat([p.detach().flatten() for p in model.parameters()]) - pruner._origin
    rank = torch.linalg.lstsq(as_matrix(pruner._projection), moved[:, None])
    residual = as_matrix(pruner._projection) @ rank.solution - moved[:, None]
    assert moved.abs().max() > 1e-4
    assert residual.abs().max() < 1e-5


def test_gradient_is_that_of_the_position() -> None:
    model, pruner = tiny_net(), RandomSubspace(sparsity=0.9)
    prune_now(pruner, toy_context(model))
    inputs, targets = tiny_data()
    cross_entropy(model(inputs), targets).backward()
    full = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    pruner.on_gradients(0, make_optimizer(pruner))
    assert pruner._position.grad is not None
    assert torch.allclose(pruner._position.grad, as_matrix(pruner._projection).T @ full, atol=1e-5)
    assert all(p.grad is None for p in model.parameters())


def test_at_the_start_the_network_is_the_initial_one() -> None:
    model, original = tiny_net(), tiny_net()
    pruner = RandomSubspace(sparsity=0.9)
    prune_now(pruner, toy_context(model))
    pruner.on_weights(0, make_optimizer(pruner))
    assert all(torch.equal(p, original.get_parameter(name)) for name, p in model.named_parameters())


def test_loss_falls_with_few_numbers() -> None:
    context = toy_context(tiny_net(), epochs=40)
    inputs, targets = tiny_data()
    before = float(cross_entropy(context.model(inputs), targets).detach())
    model, _ = train_all(RandomSubspace(sparsity=0.9), context)
    assert float(cross_entropy(model(inputs), targets).detach()) < 0.8 * before


def test_resumes() -> None:
    resume_equals_uninterrupted(lambda: RandomSubspace(sparsity=0.9), epochs=2)
