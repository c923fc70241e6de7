"""SAFE: its steps by hand on six weights, the second pass, the end of the training, resume and ranks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.safe import SAFE
from torch import nn
from torch.nn.utils import parameters_to_vector
from toys import (
    TwoLayerLinear,
    assert_equal_masks,
    linear_context,
    make_optimizer,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_all,
    train_on_two_ranks,
    train_step,
)


def vector(model: nn.Module) -> torch.Tensor:
    return parameters_to_vector(model.parameters()).detach().clone()


def attached(**options: Any) -> tuple[SAFE, TwoLayerLinear]:
    """W1 = [[1, -2], [3, 0.5]], W2 = [[2, -1]] with dW1 = [[-2, -4], [1, 2]] and dW2 = [[3, -4]] in `grad`."""
    model, pruner = TwoLayerLinear(), SAFE(sparsity=0.5, every=2, **options)
    prune_now(pruner, linear_context(model))
    model.first.weight.grad = torch.tensor([[-2.0, -4.0], [1.0, 2.0]])
    model.second.weight.grad = torch.tensor([[3.0, -4.0]])
    return pruner, model


def sparse_and_dual(pruner: SAFE) -> tuple[torch.Tensor, torch.Tensor]:
    """z and u of all weights, one behind the other."""
    offset, support = (
        torch.cat([part.flatten() for part in parts.values()]) for parts in (pruner._offset, pruner._support)
    )
    return -offset * support, offset * ~support


def test_weights_move_up_by_the_radius_and_come_back() -> None:
    pruner, model = attached(radius=0.5)
    before = vector(model)
    pruner.move_weights()
    gradient = torch.tensor([-2.0, -4, 1, 2, 3, -4])
    assert torch.allclose(vector(model) - before, 0.5 * gradient / math.sqrt(50))
    pruner.restore_weights()
    assert torch.equal(vector(model), before)


def test_the_penalty_and_the_dual_update_by_hand() -> None:
    """Kept of w = (1, -2, 3, 0.5, 2, -1) are 3 at 50 %: -2, 3, 2. So w - z + u = (1, 0, 0, 0.5, 0, -1) at the start."""
    pruner, model = attached(penalty=0.1, penalty_schedule="constant")
    optimizer = make_optimizer(pruner)
    pruner.on_gradients(0, optimizer)
    assert torch.allclose(model.first.weight.grad, torch.tensor([[-1.9, -4.0], [1.0, 2.05]]))
    assert torch.allclose(model.second.weight.grad, torch.tensor([[3.0, -4.1]]))
    pruner.on_weights(0, optimizer)
    assert (sparse_and_dual(pruner)[1] == 0).all()  # every second step
    pruner.on_weights(1, optimizer)
    sparse, dual = sparse_and_dual(pruner)
    assert sparse.tolist() == [0, -2, 3, 0, 2, 0]
    assert dual.tolist() == [1, 0, 0, 0.5, 0, -1]
    # w + u = (2, -2, 3, 1, 2, -2): of the four twos the first two are kept besides 3, and u is the rest
    pruner.on_weights(3, optimizer)
    sparse, dual = sparse_and_dual(pruner)
    assert sparse.tolist() == [2, -2, 3, 0, 0, 0]
    assert dual.tolist() == [0, 0, 0, 1, 2, -2]


def test_the_penalty_rises_over_the_training() -> None:
    pruner, _ = attached(penalty=2.0)  # 12 steps
    assert [pruner.strength(step) for step in (0, 6, 12)] == pytest.approx([0.0, 1.0, 2.0])
    assert pruner.strength(3) == pytest.approx(1 - math.sqrt(0.5))
    linear, _ = attached(penalty=2.0, penalty_schedule="linear")
    assert linear.strength(3) == pytest.approx(0.5)


def test_a_step_takes_the_gradient_at_the_moved_weights() -> None:
    """By hand for a step of SGD from the same batch; batch norm's statistics are those of the first pass."""
    pruner, model, radius = SAFE(sparsity=0.5, radius=0.3), tiny_net(), 0.3
    prune_now(pruner, toy_context(model))
    plain, moved = tiny_net(), tiny_net()
    for network in (plain, moved):
        other = SAFE(sparsity=0.0, radius=1e-30)
        prune_now(other, toy_context(network))
        if network is moved:
            gradients = [parameter.grad for parameter in plain.parameters()]
            norm = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm()
            with torch.no_grad():
                for parameter, gradient in zip(moved.parameters(), gradients, strict=True):
                    parameter.add_(gradient, alpha=float(radius / norm))  # type: ignore[arg-type]
        train_step(other, network, make_optimizer(other, lr=1e-30), 0)
    train_step(pruner, model, make_optimizer(pruner, lr=1e-30), 0)
    for (name, parameter), wanted in zip(model.named_parameters(), moved.parameters(), strict=True):
        assert parameter.grad is not None
        assert wanted.grad is not None
        assert torch.allclose(parameter.grad, wanted.grad, atol=1e-5), name
    assert torch.equal(model.bn1.running_mean, plain.bn1.running_mean)
    assert int(model.bn1.num_batches_tracked) == 1


def test_the_network_is_dense_until_the_last_step() -> None:
    pruner, model = SAFE(sparsity=0.8, every=2, norm_samples=64), tiny_net()
    densities: list[int] = []
    on_epoch_end = pruner.on_epoch_end

    def note(*arguments: Any) -> None:
        densities.append(pruner.masks.num_kept)
        on_epoch_end(*arguments)

    pruner.on_epoch_end = note  # type: ignore[method-assign]
    train_all(pruner, toy_context(model))
    assert densities == [356, 356, num_kept(356, 0.8)]
    # batch norm has the mean of what the pruned network feeds it
    images = next(iter(pruner.context.samples(64, 64)))[0]
    first = model.conv1(images)
    assert torch.allclose(model.bn1.running_mean, first.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(model.bn1.running_var, first.var(dim=(0, 2, 3)), atol=1e-5)
    second = model.conv2(torch.relu(model.bn1.train()(first)))
    assert torch.allclose(model.bn2.running_mean, second.mean(dim=(0, 2, 3)), atol=1e-5)


def test_resumes_and_agrees_between_ranks() -> None:
    def make() -> SAFE:
        return SAFE(sparsity=0.8, every=3)

    resume_equals_uninterrupted(make, epochs=2)
    assert_equal_masks(train_on_two_ranks(make, epochs=1))


def test_a_stronger_penalty_draws_the_weights_to_the_sparse_point() -> None:
    distances = []
    for penalty in (1e-6, 1.0):
        pruner, model = SAFE(sparsity=0.8, every=2, penalty=penalty, penalty_schedule="constant"), tiny_net()
        prune_now(pruner, toy_context(model, epochs=10))
        optimizer = make_optimizer(pruner)
        for step in range(39):
            train_step(pruner, model, optimizer, step)
        weights = torch.cat([site.weight.detach().flatten() for site in pruner.masks.sites.values()])
        distances.append(float((weights - sparse_and_dual(pruner)[0]).square().sum()))
    assert distances[1] < 0.6 * distances[0]
