"""GraNet: an event by hand, the sparsity over the training, the random sparse start and resuming."""

from __future__ import annotations

import math

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.granet import GraNet
from prunebench.methods.parts.schedule import cubic
from torch import nn
from toys import make_optimizer, prune_now, resume_equals_uninterrupted, tiny_net, toy_context, train_step

WEIGHT = (0.9, -0.1, 0.5, 0.2, -0.3, 0.4, 0.6, 0.7)
GRADIENT = (0.1, 0.8, 0.2, 0.3, 0.7, 0.05, 0.6, 0.4)


def test_an_event_by_hand() -> None:
    pruner = GraNet(sparsity=0.5, end=0.5, every=2, drop_fraction=0.5, final_drop_fraction=0.5)
    layer = nn.Linear(8, 1, bias=False)
    pruner.attach(toy_context(layer, epochs=8, steps_per_epoch=1))
    pruner.begin_round(0)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([WEIGHT]))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0, momentum=0.9)
    layer.weight.grad = torch.tensor([GRADIENT])
    optimizer.step()
    pruner.on_weights(0, optimizer)
    assert pruner.masks.num_kept == 8, "no event after one step"
    # the ramp is from 0 to step 3: an event after 2 steps is at 1 - (1/3)^3 of one half, 0.4815: 8 - 3 = 5 stay
    # 1, 3 and 4 leave; of the 5, ceil(2.5) = 3 are dropped: 5, 2 and 6; 0 and 7 stay
    # of 1, 2, 3, 4, 5, 6 the largest gradients are at 1, 4 and 6
    pruner.on_weights(1, optimizer)
    assert pruner.masks["weight"].tolist() == [[True, True, False, False, True, False, True, True]]
    # 6 was dropped and grown at once, 1 and 4 had been pruned
    assert layer.weight.tolist() == [pytest.approx([0.9, 0, 0, 0, 0, 0, 0.6, 0.7])]
    momentum = optimizer.state[layer.weight]["momentum_buffer"]
    assert (momentum[0] == 0).tolist() == [False, True, False, False, True, False, False, False]


def test_the_network_grows_sparse_by_the_ramp_and_goes_on_replacing() -> None:
    model = tiny_net()
    pruner = GraNet(sparsity=0.9, begin=0.1, end=0.5, every=3)
    prune_now(pruner, toy_context(model, epochs=10, steps_per_epoch=4))
    optimizer = make_optimizer(pruner)
    total, kept, moved = pruner.masks.num_total, [], []
    for step in range(40):
        before = {name: mask.clone() for name, mask in pruner.masks.items()}
        train_step(pruner, model, optimizer, step)
        kept.append(pruner.masks.num_kept)
        if any(not torch.equal(mask, before[name]) for name, mask in pruner.masks.items()):
            moved.append(step + 1)
    # the ramp is from step 4 to step 19, with an event after every third step from its start
    wanted = [0.0] * 6
    for num_steps in range(7, 41):
        done = min(num_steps - (num_steps - 4) % 3, 19) if num_steps < 20 else 19
        wanted.append(cubic((done - 4) / 15, 0.9))
    assert kept == [num_kept(total, sparsity) for sparsity in wanted]
    assert moved == [7, 10, 13, 16, 19, 20, 22, 25, 28, 31, 34, 37, 40]


def test_the_share_falls_by_a_cosine_over_the_whole_training() -> None:
    pruner = GraNet(sparsity=0.9)
    prune_now(pruner, toy_context(tiny_net(), epochs=100, steps_per_epoch=4))
    for num_steps in (0, 100, 200, 400):
        expected = 0.005 + 0.495 * 0.5 * (1 + math.cos(math.pi * num_steps / 400))
        assert pruner.fraction(num_steps) == pytest.approx(expected)
    assert pruner.fraction(200) == pytest.approx(0.2525)


def test_a_sparse_start_is_random_with_erk_budgets() -> None:
    pruner = GraNet(sparsity=0.9, initial_sparsity=0.5)
    masks = prune_now(pruner, toy_context(tiny_net()))
    # 356 weights of 4 + 1 + 3 + 3 = 11, 8 + 4 + 3 + 3 = 18 and 4 + 8 = 12 in sum of dimensions: the layers of 36 and
    # 32 weights are whole, which leaves 178 - 68 = 110 of 288
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "conv1.weight": 36,
        "conv2.weight": 110,
        "fc.weight": 32,
    }
    other = prune_now(GraNet(sparsity=0.9, initial_sparsity=0.5), toy_context(tiny_net(), seed=1))
    assert not torch.equal(masks["conv2.weight"], other["conv2.weight"])


def test_a_start_sparser_than_the_target_is_refused() -> None:
    with pytest.raises(ValueError, match=r"initial_sparsity is 0\.5; it must be at most sparsity, 0\.3"):
        GraNet(sparsity=0.3, initial_sparsity=0.5)
    with pytest.raises(ValueError, match=r"final_drop_fraction is 0\.6; it must be at most drop_fraction, 0\.5"):
        GraNet(sparsity=0.9, final_drop_fraction=0.6)


def test_a_resumed_training_has_the_same_bits() -> None:
    resume_equals_uninterrupted(lambda: GraNet(sparsity=0.8, initial_sparsity=0.5, every=2))
