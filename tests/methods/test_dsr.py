"""DSR: the adaptive threshold, the last weight of a layer, regrowth at new positions by survivors, the period."""

from __future__ import annotations

import pytest
import torch
from prunebench.methods.dsr import DSR, adapt, select_small
from toys import (
    assert_equal_masks,
    make_optimizer,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_on_two_ranks,
    train_step,
)


def test_removal_by_hand() -> None:
    magnitudes = {"a": torch.tensor([0.05, 0.2, 0.01, 0.0]), "b": torch.tensor([0.02, 0.03, 0.0, 0.0])}
    masks = {"a": torch.tensor([True, True, True, False]), "b": torch.tensor([True, True, False, False])}
    count, removed = select_small(magnitudes, masks, 3, torch.tensor(0.1))
    # all of b is below 0.1: its largest stays
    assert count == 3
    assert {name: mask.tolist() for name, mask in removed.items()} == {
        "a": [True, False, True, False],
        "b": [True, False, False, False],
    }


def test_not_more_leave_than_positions_are_free() -> None:
    magnitudes = {"a": torch.tensor([0.4, 0.3, 0.2, 0.1, 0.0])}
    masks = {"a": torch.tensor([True, True, True, True, False])}
    count, removed = select_small(magnitudes, masks, 1, torch.tensor(1.0))
    assert count == 3
    assert removed["a"].tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("removed", "expected"), [(111, 0.5), (110, 1.0), (100, 1.0), (90, 1.0), (89, 2.0), (0, 2.0), (500, 0.5)]
)
def test_the_threshold_steers_to_its_goal(removed: int, expected: float) -> None:
    assert adapt(torch.tensor(1.0, dtype=torch.float64), torch.tensor(removed), 100) == expected


def test_counts_beyond_single_precision_are_compared_exactly() -> None:
    one, count = torch.tensor(1.0, dtype=torch.float64), (1 << 24) + 1
    goals = [(count - 1) / 1.1, count / 1.1 + 1e-3, count / 0.9 - 1e-3, (count + 1) / 0.9]
    assert [float(adapt(one, torch.tensor(count), goal)) for goal in goals] == [0.5, 1.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("every", "doublings", "starts", "epochs", "end"),
    [
        (100, (0.125, 0.4, 0.7), {0: 100, 25: 200, 80: 400, 140: 800}, 200, 190),  # WRN-28-2
        (1000, (0.25, 0.5, 0.75), {0: 1000, 25: 2000, 50: 4000, 75: 8000}, 100, 95),  # ResNet-50
    ],
)
def test_the_period_doubles_as_published(
    every: int, doublings: tuple[float, ...], starts: dict[int, int], epochs: int, end: int
) -> None:
    pruner = DSR(sparsity=0.9, every=every, doublings=doublings)
    pruner.attach(toy_context(tiny_net(), epochs=epochs, steps_per_epoch=400))
    for step in range(0, epochs * 400, 50):
        period = next(starts[epoch] for epoch in sorted(starts, reverse=True) if step >= epoch * 400)
        assert pruner.is_due(step) == (step < end * 400 and step % period == 0)


def test_total_is_exact_layers_move_and_just_removed_positions_stay_out() -> None:
    pruner = DSR(sparsity=0.7, every=2, distribution="uniform", threshold=0.1)
    model = tiny_net()
    before = prune_now(pruner, toy_context(model, epochs=5))
    first = {name: int(mask.sum()) for name, mask in before.items()}
    optimizer = make_optimizer(pruner)
    moved = 0
    for step in range(20):
        updates, threshold = pruner.num_updates, pruner.state_dict()["threshold"]
        train_step(pruner, model, optimizer, step)
        assert pruner.masks.num_kept == 107
        if pruner.num_updates > updates:
            for name, mask in pruner.masks.items():
                grown = mask & ~before[name]
                moved += int(grown.sum())
                assert not pruner.masks.sites[name].weight[grown].any()
                kept = mask & before[name]
                assert (pruner.masks.sites[name].weight[kept].abs() >= threshold).sum() >= kept.sum() - 1
        before = {name: mask.clone() for name, mask in pruner.masks.items()}
    # after 2, 4, 8 and 16 of 20 steps: the period doubles at 2.5, 8 and 14
    assert pruner.num_updates == 4
    assert moved > 30
    assert {name: int(mask.sum()) for name, mask in pruner.masks.items()} != first


def test_layers_grow_in_proportion_to_their_survivors() -> None:
    pruner = DSR(sparsity=0.5, distribution="uniform")
    model = tiny_net()
    pruner.attach(toy_context(model))
    surviving = {"conv1.weight": 6, "conv2.weight": 30, "fc.weight": 4}
    survivors = {
        name: torch.arange(mask.numel()).view(mask.shape) < surviving[name] for name, mask in pruner.masks.items()
    }
    pruner.masks.set(survivors)
    grown = pruner._grow(2, torch.tensor([*surviving.values()]), torch.tensor(20))
    assert {name: int(mask.sum()) for name, mask in grown.items()} == {
        "conv1.weight": 3, "conv2.weight": 15, "fc.weight": 2,
    }  # fmt: skip
    assert not any((grown[name] & survivors[name]).any() for name in grown)


def test_the_state_holds_the_threshold() -> None:
    resume_equals_uninterrupted(lambda: DSR(sparsity=0.8, every=2))
    assert_equal_masks(train_on_two_ranks(lambda: DSR(sparsity=0.8, every=2)))
    pruner = DSR(sparsity=0.8)
    pruner.attach(toy_context(tiny_net()))
    state = {**pruner.state_dict(), "threshold": 0.25}
    other = DSR(sparsity=0.8)
    other.attach(toy_context(tiny_net()))
    other.load_state_dict(state)
    assert other.state_dict()["threshold"] == 0.25
    other.load_state_dict(pruner.state_dict())
    assert other.state_dict()["threshold"] == 1e-3


def test_nan_and_bad_options_are_refused() -> None:
    pruner = DSR(sparsity=0.8, every=1)
    model = tiny_net()
    prune_now(pruner, toy_context(model))
    with torch.no_grad():
        model.fc.weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError):
        pruner.update(1, make_optimizer(pruner))
    with pytest.raises(ValueError, match=r"threshold is 0.0; it must be a finite number > 0"):
        DSR(sparsity=0.8, threshold=0.0)
    with pytest.raises(ValueError, match=r"doublings is .*; it must be a list, each a finite number > 0 and < 1"):
        DSR(sparsity=0.8, doublings=(0.5, 2.0))
