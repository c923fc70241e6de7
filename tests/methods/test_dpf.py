"""DPF and DNW: the worked example, straight-through gradients, weights that come back, masked evaluation."""

from __future__ import annotations

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.dnw import DNW
from prunebench.methods.dpf import DPF
from prunebench.methods.parts.straight_through import shadow
from torch import Tensor, nn
from toys import (
    assert_equal_masks,
    make_optimizer,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_all,
    train_on_two_ranks,
    train_step,
)


def two_weights(pruner: DPF) -> tuple[nn.Linear, Tensor, torch.optim.SGD]:
    """w = (1, 0.2) with half of it pruned, and plain SGD with rate 0.1."""
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.2]]))
    pruner.attach(toy_context(layer))
    pruner.begin_round(0)
    site = next(iter(pruner.masks.sites.values()))
    return layer, shadow(site), torch.optim.SGD(layer.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("gradient", "dense", "masked"),
    [((0.3, -2.0), (0.97, 0.4), (0.97, 0.0)), ((0.3, -9.0), (0.97, 1.1), (0.0, 1.1))],
)
def test_by_hand(gradient: tuple[float, float], dense: tuple[float, float], masked: tuple[float, float]) -> None:
    pruner = DNW(sparsity=0.5)
    layer, weight, optimizer = two_weights(pruner)
    assert layer.weight.tolist() == [[1.0, 0.0]]
    # the loss is <gradient, w>, so this is the gradient at the masked weights
    (layer(torch.eye(2)).squeeze() @ torch.tensor(gradient)).backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [pytest.approx(gradient)]
    optimizer.step()
    pruner.on_weights(0, optimizer)
    assert weight.tolist() == [pytest.approx(dense)]
    assert layer.weight.tolist() == [pytest.approx(masked)]
    pruner.detach()
    assert layer.weight.tolist() == [pytest.approx(masked)]
    assert list(layer.state_dict()) == ["weight"]


def test_the_gradient_is_that_at_the_pruned_point() -> None:
    # loss 0.5 * (w1 + w2)^2: at the masked point (1, 0) the gradient is 1, at the dense one it would be 1.2
    pruner = DNW(sparsity=0.5)
    layer, weight, _ = two_weights(pruner)
    (0.5 * layer(torch.ones(1, 2)).square()).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1.0, 1.0]]


def test_masks_are_renewed_every_interval_to_the_end_of_training() -> None:
    pruner = DPF(sparsity=0.8, every=3, end=0.5)
    model = tiny_net()
    pruner.attach(toy_context(model, epochs=5, steps_per_epoch=4))
    optimizer = make_optimizer(pruner, lr=1.0)
    renewed, before = [], {name: mask.clone() for name, mask in pruner.masks.items()}
    for step in range(20):
        train_step(pruner, model, optimizer, step)
        if any(not torch.equal(mask, before[name]) for name, mask in pruner.masks.items()):
            renewed.append(step)
        before = {name: mask.clone() for name, mask in pruner.masks.items()}
        for name, site in pruner.masks.sites.items():
            assert torch.equal(site.weight, shadow(site) * pruner.masks[name]), "the forward pass is not the masked one"
    # the ramp has events 0, 3, 6 and its last at 9 = 0.5 * 20 - 1; then on every third step
    assert set(renewed) <= {0, 3, 6, 9, 12, 15, 18}
    assert {9, 12} <= set(renewed), "masks must move after the ramp as well"
    assert pruner.masks.num_kept == num_kept(356, 0.8)


def test_pruned_weights_come_back() -> None:
    pruner = DNW(sparsity=0.8)
    model = tiny_net()
    pruner.attach(toy_context(model))
    pruner.begin_round(0)
    first = {name: mask.clone() for name, mask in pruner.masks.items()}
    optimizer = make_optimizer(pruner, lr=0.5)
    for step in range(8):
        train_step(pruner, model, optimizer, step)
        assert pruner.masks.num_kept == 72
    assert sum(int((mask & ~first[name]).sum()) for name, mask in pruner.masks.items()) > 0


@pytest.mark.parametrize("scope", ["global", "layerwise", "erk"])
def test_the_network_left_behind_is_plain_and_exact(scope: str) -> None:
    pruner = DPF(sparsity=0.9, every=2, scope=scope)  # type: ignore[arg-type]
    model, _ = train_all(pruner, toy_context(tiny_net()))
    assert sorted(model.state_dict()) == sorted(tiny_net().state_dict())
    assert sum(int((site.weight != 0).sum()) for site in pruner.masks.sites.values()) == num_kept(356, 0.9)
    assert all(isinstance(site.weight, nn.Parameter) for site in pruner.masks.sites.values())


def test_resume_and_ranks() -> None:
    for make in (lambda: DPF(sparsity=0.8, every=2), lambda: DNW(sparsity=0.8)):
        resume_equals_uninterrupted(make)
        assert_equal_masks(train_on_two_ranks(make))


def test_nan_weights_and_foreign_schedules_are_refused() -> None:
    model = tiny_net()
    with torch.no_grad():
        model.fc.weight[0, 0] = torch.nan
    pruner = DNW(sparsity=0.8)
    pruner.attach(toy_context(model))
    with pytest.raises(FloatingPointError, match=r"fc\.weight"):
        pruner.begin_round(0)
    with pytest.raises(ValueError, match="schedule is 'exponential'; it must be one of one_shot, cubic"):
        DPF(sparsity=0.8, schedule="exponential")
    with pytest.raises(ValueError, match=r"begin is 0\.1; it needs schedule: cubic, not one_shot"):
        DNW(sparsity=0.8, begin=0.1)
