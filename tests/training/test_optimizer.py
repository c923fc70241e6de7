"""The optimisers of recipes are torch's: AdamW decays weights apart from the gradient."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Literal

import pytest
import torch
from prunebench.benchmark.api.pruner import Pruner
from prunebench.benchmark.runs.run import Recipe, Run, to_dict
from prunebench.benchmark.training.optimizer import make_optimizer
from torch import nn

RECIPE = Recipe(epochs=1, lr=0.1, weight_decay=0.5, decay_norm=False)


def stepped(kind: Literal["adam", "adamw"], *, with_gradient: bool) -> nn.Linear:
    """A layer of ones after one step, under a gradient of ones or of zeros."""
    layer = nn.Linear(3, 2)
    pruner = Pruner()
    pruner.context = SimpleNamespace(model=layer)
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.full_like(parameter, float(with_gradient))
    make_optimizer(replace(RECIPE, optimizer=kind), pruner, torch.device("cpu")).step()
    return layer


def test_adamw_shrinks_weights_by_rate_times_decay_and_no_vectors() -> None:
    still = stepped("adamw", with_gradient=False)
    assert torch.allclose(still.weight, torch.full((2, 3), 1 - 0.1 * 0.5))
    assert torch.equal(still.bias.detach(), torch.ones(2))
    moved = stepped("adamw", with_gradient=True)
    assert torch.allclose(moved.weight, torch.full((2, 3), 0.95 - 0.1))
    # Adam adds the decay to the gradient, and then normalises both away
    assert torch.allclose(stepped("adam", with_gradient=True).weight, torch.full((2, 3), 0.9))


@pytest.mark.parametrize("steps", [1, 5])
def test_adamw_is_that_of_torch(steps: int) -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    pruner = Pruner()
    pruner.context = SimpleNamespace(model=ours)
    pair = (
        make_optimizer(replace(RECIPE, optimizer="adamw", decay_norm=True), pruner, torch.device("cpu")),
        torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.5, fused=True),
    )
    for _ in range(steps):
        inputs = torch.randn(4, 3)
        for layer, optimizer in zip((ours, theirs), pair, strict=True):
            optimizer.zero_grad()
            layer(inputs).square().mean().backward()
            optimizer.step()
    assert all(torch.equal(ours.state_dict()[name], tensor) for name, tensor in theirs.state_dict().items())


def test_adamw_is_recorded_and_other_ids_stay() -> None:
    sgd = Run(dataset="digits", model="convnet-small", method="dense", seed=0, recipe=RECIPE)
    adamw = replace(sgd, recipe=replace(RECIPE, optimizer="adamw"))
    assert to_dict(adamw)["recipe"]["optimizer"] == "adamw"
    assert "optimizer" not in to_dict(sgd)["recipe"]
    assert len({sgd.id, adamw.id, replace(sgd, recipe=replace(RECIPE, optimizer="adam")).id}) == 3
