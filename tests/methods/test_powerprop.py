"""Powerpropagation: its powers and their gradients, where it starts, and that what is pruned stays at zero."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.powerprop import PowerPropagation, SignedPower
from torch.nn.utils import parametrize
from toys import (
    half_squared_error,
    kept_positions,
    linear_context,
    make_optimizer,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_all,
    train_steps,
)


@pytest.mark.parametrize(("exponent", "values", "slopes"), [
    (2.0, [-4.0, 0.0, 0.25], [4.0, 0.0, 1.0]),
    (3.0, [-8.0, 0.0, 0.125], [12.0, 0.0, 0.75]),
    (1.5, [-(2**1.5), 0.0, 0.5**1.5], [1.5 * 2**0.5, 0.0, 1.5 * 0.5**0.5]),
])  # fmt: skip
def test_powers_and_slopes(exponent: float, values: list[float], slopes: list[float]) -> None:
    root = torch.tensor([-2.0, 0.0, 0.5], requires_grad=True)
    power = SignedPower(exponent)(root)
    assert power.tolist() == pytest.approx(values)
    power.sum().backward()
    assert root.grad is not None
    assert root.grad.tolist() == pytest.approx(slopes)


def test_one_step_of_the_example() -> None:
    """v = sign(w) sqrt(|w|), and v' = v - lr g 2 |v|: W1 = [[1, -2], [3, 0.5]] with g = [[-2, -4], [1, 2]]."""
    context = linear_context()
    pruner = PowerPropagation(sparsity=0.0)
    prune_now(pruner, context)
    root = pruner.masks.sites["first.weight"].weight
    before = torch.tensor([[1.0, -(2**0.5)], [3**0.5, 0.5**0.5]])
    torch.testing.assert_close(root.detach(), before)
    optimizer = torch.optim.SGD(pruner.param_groups(0.0, True), lr=0.1)
    inputs, targets = next(iter(context.samples(1, 1)))
    half_squared_error(context.model(inputs), targets).backward()
    optimizer.step()
    torch.testing.assert_close(root.detach(), before - 0.1 * torch.tensor([[-2.0, -4], [1, 2]]) * 2 * before.abs())


def test_it_prunes_the_smallest_weights() -> None:
    pruner = PowerPropagation(sparsity=0.5, schedule="one_shot", scope="global")
    masks = kept_positions(prune_now(pruner, linear_context()))
    assert masks == {"first.weight": [[0, 1], [1, 0]], "second.weight": [[1, 0]]}


@pytest.mark.parametrize("exponent", [1.25, 4.0])
def test_what_is_pruned_stays_at_zero_and_gradients_are_finite(exponent: float) -> None:
    pruner, model = PowerPropagation(sparsity=0.9, exponent=exponent, every=2), tiny_net()
    prune_now(pruner, toy_context(model))
    train_steps(pruner, model, 12, make_optimizer(pruner))
    assert pruner.masks.num_kept == num_kept(356, 0.9)
    for name, site in pruner.masks.sites.items():
        assert torch.isfinite(site.weight).all()
        assert not site.weight[~pruner.masks[name]].any()


def test_layers_left_dense_have_plain_weights() -> None:
    model = tiny_net()
    prune_now(PowerPropagation(sparsity=0.5, dense=("first",)), toy_context(model))
    assert [parametrize.is_parametrized(layer) for layer in (model.conv1, model.conv2, model.fc)] == [False, True, True]
    assert torch.equal(model.conv1.weight, tiny_net().conv1.weight)


def test_detached_network_has_plain_weights() -> None:
    model, _ = train_all(PowerPropagation(sparsity=0.8, every=2), toy_context(tiny_net(), epochs=2))
    assert model.state_dict().keys() == tiny_net().state_dict().keys()
    kept = sum(int(model.get_parameter(n).count_nonzero()) for n in ("conv1.weight", "conv2.weight", "fc.weight"))
    assert kept == num_kept(356, 0.8)


@pytest.mark.parametrize("exponent", [1.0, 0.5, 11.0])
def test_exponents_that_are_refused(exponent: float) -> None:
    with pytest.raises(ValueError, match="exponent is"):
        PowerPropagation(sparsity=0.5, exponent=exponent)


def test_resumes() -> None:
    options: dict[str, Any] = {"sparsity": 0.8, "every": 2}
    resume_equals_uninterrupted(lambda: PowerPropagation(**options), epochs=2)
