"""SET-ITOP and RigL-ITOP: their update times and shares, and growth by the gradient of the step just made."""

from __future__ import annotations

import pytest
import torch
from prunebench.methods.bases.dynamic import DynamicPruner
from prunebench.methods.itop import RigLItop, SetItop
from torch import nn
from toys import make_optimizer, prune_now, resume_equals_uninterrupted, tiny_net, toy_context, train_step


def test_rigl_itop_by_hand() -> None:
    pruner = RigLItop(sparsity=0.5, drop_fraction=0.5, final_drop_fraction=0.5, every=2)
    layer = nn.Linear(8, 1, bias=False)
    pruner.attach(toy_context(layer, epochs=10, steps_per_epoch=1))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.9, -0.1, 0.5, 0.2, 0.0, 0.0, 0.0, 0.0]]))
    pruner.masks.set({"weight": torch.tensor([[True] * 4 + [False] * 4])})
    layer.weight.grad = torch.tensor([[0.1, -0.8, 0.2, -0.3, 0.7, -0.05, 0.6, -0.4]])
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    assert not pruner.on_gradients(1, optimizer), "the optimiser's step is made"
    pruner.on_weights(0, optimizer)
    assert pruner.num_updates == 0
    pruner.on_weights(1, optimizer)
    # 1 and 3 leave; of {1, 3, 4, 5, 6, 7} the largest gradients are at 1 and 4
    assert pruner.masks["weight"].tolist() == [[True, True, True, False, True, False, False, False]]


@pytest.mark.parametrize("kind", [SetItop, RigLItop])
def test_updates_go_on_to_the_end_with_falling_shares(kind: type[DynamicPruner]) -> None:
    pruner, model = kind(sparsity=0.8, every=6), tiny_net()
    prune_now(pruner, toy_context(model, epochs=5, steps_per_epoch=5))
    optimizer = make_optimizer(pruner)
    updates = []
    for step in range(25):
        before = pruner.num_updates
        train_step(pruner, model, optimizer, step)
        updates += [step] * (pruner.num_updates - before)
    assert updates == [5, 11, 17, 23]
    assert pruner.fraction(0) == 0.5
    assert pruner.fraction(25) == pytest.approx(0.005)


@pytest.mark.parametrize("kind", [SetItop, RigLItop])
def test_a_resumed_training_has_the_same_bits(kind: type[DynamicPruner]) -> None:
    resume_equals_uninterrupted(lambda: kind(sparsity=0.8, every=2))
