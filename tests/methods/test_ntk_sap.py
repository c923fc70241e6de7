"""NTK-SAP against differences of plain networks, and what it does not depend on."""

from __future__ import annotations

import copy

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.ntk_sap import NtkSap
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from toys import (
    TinyConvNet,
    assert_equal_masks,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_on_two_ranks,
)

SIZES = {"conv1.weight": 9, "conv2.weight": 36, "fc.weight": 8}
"""Inputs of an output of each layer: the draws are Kaiming normal."""


def drawn(model: TinyConvNet, batches: list[int]) -> list[tuple[dict[str, Tensor], dict[str, Tensor], Tensor]]:
    """Weights, weights with noise, and inputs for each batch, from the numbers that the method draws from."""
    generator = toy_context(model).generator("NTK-SAP round 0")
    draws = []
    for size in batches:
        weights, noisy = {}, {}
        for name, fan_in in SIZES.items():
            shape = model.get_parameter(name).shape
            weights[name] = torch.randn(shape, generator=generator).double() * (2 / fan_in) ** 0.5
            noisy[name] = weights[name] + 0.1 * torch.randn(shape, generator=generator).double()
        draws.append((weights, noisy, torch.randn((size, 1, 8, 8), generator=generator).double()))
    return draws


@torch.no_grad()
def change(model: TinyConvNet, masks: dict[str, Tensor], moved: dict[str, Tensor], batches: list[int]) -> float:
    """The sum over batches of |f(moved w) - f(moved (w + e))|^2, with the statistics of f(m w) on the batch."""
    total = 0.0
    for weights, noisy, inputs in drawn(model, batches):
        network = copy.deepcopy(model).train()
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = 1.0
        output_of(network, weights, masks, inputs)
        network.eval()
        outputs = [output_of(network, tensors, moved, inputs) for tensors in (weights, noisy)]
        total += float((outputs[0] - outputs[1]).square().sum())
    return total


def output_of(network: TinyConvNet, weights: dict[str, Tensor], masks: dict[str, Tensor], inputs: Tensor) -> Tensor:
    for name, weight in weights.items():
        network.get_parameter(name).copy_(weight * masks[name])
    return network(inputs)


def test_scores_are_differences_for_the_mask() -> None:
    """10 inputs in batches of 8 and 2, twice; a mask has holes in it already."""
    model = tiny_net().double()
    pruner = NtkSap(sparsity=0.5, noise=0.1, weight_draws=2, samples_per_class=5, score_batch=8)
    pruner.attach(toy_context(model, num_classes=2))
    generator = torch.Generator().manual_seed(0)
    masks = {n: torch.rand(model.get_parameter(n).shape, generator=generator) < 0.8 for n in SIZES}
    pruner.masks.set(masks)
    scores = pruner.scores()
    for name, position in (("conv1.weight", (1, 0, 2, 1)), ("conv2.weight", (5, 2, 1, 1)), ("fc.weight", (3, 4))):
        assert masks[name][position]
        sides = []
        for step in (1e-5, -1e-5):
            moved = {n: mask.double() for n, mask in masks.items()}
            moved[name][position] += step
            sides.append(change(model, masks, moved, [8, 2, 8, 2]))
        assert float(scores[name][position]) == pytest.approx(abs(sides[0] - sides[1]) / 2e-5, rel=1e-5)


def test_the_weights_of_the_run_do_not_matter_and_are_kept() -> None:
    first, second = tiny_net(0), tiny_net(1)
    masks = [prune_now(NtkSap(sparsity=0.7, prune_rounds=2), toy_context(model)) for model in (first, second)]
    for name, mask in masks[0].items():
        assert torch.equal(mask, masks[1][name])
        assert torch.equal(first.get_parameter(name), tiny_net(0).get_parameter(name) * mask)


def test_batch_norm_keeps_its_momentum() -> None:
    model = tiny_net()
    model.bn1.momentum, model.bn2.momentum = 0.3, None
    prune_now(NtkSap(sparsity=0.7, prune_rounds=2), toy_context(model))
    assert (model.bn1.momentum, model.bn2.momentum) == (0.3, None)
    assert torch.equal(model.bn1.running_mean, torch.zeros(4))


def test_a_layer_left_dense_is_drawn_and_not_perturbed() -> None:
    """A linear network of one weight a layer: f = a b x. With b left dense the change is (b e_a x)^2."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    context = toy_context(model, input_shape=(1,), num_classes=1)
    pruner = NtkSap(sparsity=0.0, dense=("last",), weight_draws=1, samples_per_class=1, noise=0.5)
    pruner.attach(context)
    scores = pruner.scores()
    generator = context.generator("NTK-SAP round 0")
    _, noise, second, inputs = (float(torch.randn(1, generator=generator)) for _ in range(4))
    # the derivative of (m b e x)^2 at m = 1; b is Kaiming normal with one input
    assert float(scores["0.weight"]) == pytest.approx(2 * 2 * (second * 0.5 * noise * inputs) ** 2, rel=1e-5)


@pytest.mark.parametrize("sparsity", [0.5, 0.98])
def test_counts_are_exact(sparsity: float) -> None:
    masks = prune_now(NtkSap(sparsity=sparsity, prune_rounds=5), toy_context(tiny_net()))
    assert sum(int(mask.sum()) for mask in masks.values()) == num_kept(356, sparsity)


def test_resumes_and_agrees_between_ranks() -> None:
    def make() -> NtkSap:
        return NtkSap(sparsity=0.8, prune_rounds=2)

    resume_equals_uninterrupted(make, epochs=2)
    assert_equal_masks(train_on_two_ranks(make, epochs=1))
