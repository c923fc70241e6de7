"""Movement pruning: scores and masks of two steps by hand, gradients of pruned weights, and resuming."""

from __future__ import annotations

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.movement import Movement
from prunebench.methods.parts.straight_through import shadow
from toys import (
    half_squared_error,
    kept_positions,
    linear_context,
    make_optimizer,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_step,
)


def test_two_steps_by_hand() -> None:
    pruner = Movement(sparsity=0.5, begin=0.0, end=0.5)
    context = linear_context(epochs=2, steps_per_epoch=1)
    prune_now(pruner, context)
    inputs, targets = torch.tensor([[1.0, 2.0]]), torch.tensor([-9.0])
    optimizer = torch.optim.SGD(context.model.parameters(), lr=0.0)
    weights = {name: shadow(site) for name, site in pruner.masks.sites.items()}

    def step(index: int) -> None:
        optimizer.zero_grad()
        half_squared_error(context.model(inputs), targets).backward()
        assert not pruner.on_gradients(index, optimizer)
        optimizer.step()
        pruner.on_weights(index, optimizer)

    step(0)
    # -(gradient * weight) with gradients [[-2, -4], [1, 2]] and [[3, -4]]
    scores = pruner.state_dict()["scores"]
    assert scores["first.weight"].tolist() == [[2.0, -8.0], [-3.0, -1.0]]
    assert scores["second.weight"].tolist() == [[-6.0, -4.0]]
    assert kept_positions(dict(pruner.masks.items())) == {"first.weight": [[1, 0], [0, 1]], "second.weight": [[0, 1]]}
    assert context.model(inputs).item() == -1.0
    step(1)
    # the masked network is wrong by 8: gradients [[0, 0], [-8, -16]] and [[8, 8]], of which those of kept weights train
    scores = pruner.state_dict()["scores"]
    assert scores["first.weight"].tolist() == [[2.0, -8.0], [21.0, 7.0]]
    assert scores["second.weight"].tolist() == [[-22.0, 4.0]]
    grads = {name: None if weight.grad is None else weight.grad.tolist() for name, weight in weights.items()}
    assert grads == {"first.weight": [[0.0, 0.0], [0.0, -16.0]], "second.weight": [[0.0, 8.0]]}
    # 3 is back with its value, 1 is out: W1 x = (0, 4) and f = -4
    assert kept_positions(dict(pruner.masks.items()))["first.weight"] == [[0, 0], [1, 1]]
    assert context.model(inputs).item() == -4.0
    pruner.detach()
    assert context.model.first.weight.tolist() == [[0.0, 0.0], [3.0, 0.5]]  # type: ignore[union-attr]


@pytest.mark.parametrize("start", ["trained", "init"])
def test_the_sparsity_waits_rises_and_is_held(start: str) -> None:
    pruner, model = Movement(sparsity=0.9, begin=0.2, end=0.6, start=start), tiny_net()  # type: ignore[arg-type]
    prune_now(pruner, toy_context(model, epochs=5, steps_per_epoch=4))
    optimizer = make_optimizer(pruner)
    kept = []
    for step in range(20):
        train_step(pruner, model, optimizer, step)
        kept.append(pruner.masks.num_kept)
    assert kept[:5] == [356] * 5
    # from step 4 to 11: one seventh of the way at step 5
    assert kept[5] == num_kept(356, 0.9 * (1 - (6 / 7) ** 3))
    assert kept[11:] == [num_kept(356, 0.9)] * 9
    assert kept == sorted(kept, reverse=True)


def test_a_resumed_training_has_the_same_bits() -> None:
    resume_equals_uninterrupted(lambda: Movement(sparsity=0.8))
