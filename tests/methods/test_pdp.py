"""PDP: mask, gradient and thresholds by hand, the course of a training, exact counts at its end, and resuming."""

from __future__ import annotations

import math

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.parts.straight_through import shadow
from prunebench.methods.pdp import PDP, threshold
from torch import nn
from toys import make_optimizer, prune_now, resume_equals_uninterrupted, tiny_net, toy_context, train_step

WEIGHT = (1.0, -0.5, 0.2, 0.1)
TAU = 0.1


def four_weights(**options: float) -> tuple[PDP, nn.Linear]:
    layer = nn.Linear(4, 1, bias=False)
    pruner = PDP(sparsity=0.5, temperature=TAU, **options)  # type: ignore[arg-type]
    prune_now(pruner, toy_context(layer, epochs=10, steps_per_epoch=1))
    with torch.no_grad():
        shadow(pruner.masks.sites["weight"]).copy_(torch.tensor([WEIGHT]))
    return pruner, layer


def soft(weight: float, level: float) -> float:
    """m(w) as the paper writes it."""
    keep, leave = math.exp(weight**2 / TAU), math.exp(level**2 / TAU)
    return keep / (keep + leave)


def test_mask_and_gradient_by_hand() -> None:
    pruner, layer = four_weights()
    assert layer.weight.tolist() == [pytest.approx(WEIGHT)], "dense before the ramp"
    pruner.move_thresholds(1.0)
    # of 0.5 and 0.2 one stays: t = 0.35
    assert layer.weight.tolist() == [pytest.approx([w * soft(w, 0.35) for w in WEIGHT])]
    layer.weight.sum().backward()
    gradient = shadow(pruner.masks.sites["weight"]).grad
    masks = [soft(w, 0.35) for w in WEIGHT]
    expected = [m + 2 * w * w / TAU * m * (1 - m) for w, m in zip(WEIGHT, masks, strict=True)]
    assert gradient is not None
    assert gradient.tolist() == [pytest.approx(expected)]
    # half of the two that are to leave: t is between 0.2 and 0.1
    pruner.move_thresholds(0.5)
    assert layer.weight.tolist() == [pytest.approx([w * soft(w, 0.15) for w in WEIGHT])]


def test_the_course_of_a_training() -> None:
    pruner, layer = four_weights(begin=0.2, end=0.6)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    levels, kept = [], []
    for step in range(10):
        pruner.on_weights(step, optimizer)
        levels.append(math.sqrt(max(0.0, float(pruner._soft_mask("weight").squared_threshold))))
        kept.append(pruner.masks.num_kept)
    # a straight line from step 2 to step 5: none, none (2/3), one (4/3) and two leave
    assert levels == pytest.approx([0, 0, 0, 0, 0.15, 0.35, 0.35, 0.35, 0.35, 0], abs=1e-6)
    assert kept == [4] * 9 + [2]
    assert layer.weight.tolist() == [pytest.approx([1.0, -0.5, 0, 0])], "weights that stay are plain"
    pruner.detach()
    assert layer.weight.tolist() == [pytest.approx([1.0, -0.5, 0, 0])]


@pytest.mark.parametrize(("kept", "level"), [(1, 3.0), (2, 1.5), (0, 4.0), (4, 0.0)])
def test_the_threshold_is_half_way_between(kept: int, level: float) -> None:
    assert threshold(torch.tensor([[1.0, 0.0], [4.0, 2.0]]), torch.tensor(kept)) == level


@pytest.mark.parametrize("scope", ["global", "layerwise", "erk"])
def test_counts_are_exact_at_the_end_with_the_budgets_of_the_start_of_the_ramp(scope: str) -> None:
    pruner, model = PDP(sparsity=0.83, scope=scope), tiny_net()  # type: ignore[arg-type]
    prune_now(pruner, toy_context(model, epochs=5, steps_per_epoch=4))
    optimizer = make_optimizer(pruner)
    budgets = []
    for step in range(20):
        assert pruner.masks.num_kept == 356
        train_step(pruner, model, optimizer, step)
        budgets.append(None if pruner._budgets is None else pruner._budgets.tolist())
    assert pruner.masks.num_kept == num_kept(356, 0.83)
    # the ramp begins at step 3 of 20
    assert budgets[:3] == [None] * 3
    assert budgets[3:] == [list(pruner.masks.counts.values())] * 17


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"begin is 0\.9; it must be less than end, 0\.83"):
        PDP(sparsity=0.9, begin=0.9)
    with pytest.raises(ValueError, match="temperature is 0"):
        PDP(sparsity=0.9, temperature=0.0)


def test_a_resumed_training_has_the_same_bits() -> None:
    resume_equals_uninterrupted(lambda: PDP(sparsity=0.8))
