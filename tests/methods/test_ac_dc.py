"""AC/DC: the published table of phases, weights that restart from zero, momentum, the exact final sparsity."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.ac_dc import AcDc
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

PRUNED = [10, 20, 30, 40, 50, 60, 70, 85]
RESTORED = [15, 25, 35, 45, 55, 65, 75]


@pytest.mark.parametrize("steps_per_epoch", [1, 7, 391])
def test_of_100_epochs_the_phases_are_the_papers(steps_per_epoch: int) -> None:
    phases = AcDc(sparsity=0.9).phases(100 * steps_per_epoch)
    assert sorted(step for step, is_sparse in phases.items() if is_sparse) == [e * steps_per_epoch for e in PRUNED]
    assert sorted(step for step, is_sparse in phases.items() if not is_sparse) == [
        e * steps_per_epoch for e in RESTORED
    ]


@given(st.integers(1, 3000))
def test_every_training_ends_sparse(total_steps: int) -> None:
    phases = AcDc(sparsity=0.9).phases(total_steps)
    assert max(phases) < total_steps
    assert phases[max(phases)]
    in_order = [phases[step] for step in sorted(phases)]
    if total_steps >= 20:
        assert all(a != b for a, b in itertools.pairwise(in_order)), "phases must alternate"


def test_restored_weights_restart_from_zero_without_momentum() -> None:
    pruner = AcDc(sparsity=0.8)
    model = tiny_net()
    pruner.attach(toy_context(model, epochs=100, steps_per_epoch=1))
    optimizer = make_optimizer(pruner)
    for step in range(15):
        train_step(pruner, model, optimizer, step)
        assert pruner.masks.num_kept == (356 if step < 10 else 72)
    pruned = ~pruner.masks["conv2.weight"]
    assert not model.conv2.weight[pruned].any()
    buffer = optimizer.state[model.conv2.weight]["momentum_buffer"]
    assert buffer[pruned].any(), "the masked weights' momentum is what must be cleared"
    train_step(pruner, model, optimizer, 15)
    assert pruner.masks.num_kept == 356
    # the first step after a restart with momentum: the buffer is the gradient itself
    weight = model.conv2.weight
    assert weight.grad is not None
    moved = optimizer.state[weight]["momentum_buffer"]
    assert torch.equal(moved[pruned], weight.grad[pruned]), "momentum of before the restart is still there"
    assert torch.allclose(weight[pruned], -0.05 * weight.grad[pruned])


def test_without_the_flag_only_returning_weights_lose_their_momentum() -> None:
    kept_momentum = {}
    for reset in (True, False):
        pruner = AcDc(sparsity=0.8, reset_momentum=reset)
        model = tiny_net()
        pruner.attach(toy_context(model, epochs=100, steps_per_epoch=1))
        optimizer = make_optimizer(pruner)
        for step in range(15):
            train_step(pruner, model, optimizer, step)
        pruned = ~pruner.masks["conv2.weight"]
        pruner.on_gradients(15, optimizer)
        state = optimizer.state.get(model.conv2.weight, {})
        buffer = state.get("momentum_buffer", torch.zeros_like(model.conv2.weight))
        assert not buffer[pruned].any()
        kept_momentum[reset] = bool(buffer[~pruned].any())
    assert kept_momentum == {True: False, False: True}


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_short_trainings_end_exact(epochs: int) -> None:
    pruner = AcDc(sparsity=0.9)
    train_all(pruner, toy_context(tiny_net(), epochs=epochs))
    assert pruner.masks.num_kept == num_kept(356, 0.9)


def test_the_uniform_variant_leaves_first_and_last_dense() -> None:
    pruner = AcDc(sparsity=0.75, scope="layerwise", dense=("first", "last"))
    train_all(pruner, toy_context(tiny_net()))
    assert list(pruner.masks) == ["conv2.weight"]
    assert pruner.masks.num_kept == 72


def test_resume_and_ranks() -> None:
    resume_equals_uninterrupted(lambda: AcDc(sparsity=0.8), epochs=5)
    assert_equal_masks(train_on_two_ranks(lambda: AcDc(sparsity=0.8)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "cubic"}, "unexpected keyword argument 'schedule'"),
        ({"sparse_phase": 0.0}, "sparse_phase is 0.0; it must be a finite number > 0 and < 1"),
        ({"begin": 0.8}, "begin \\+ sparse_phase must be at most"),
        ({"every": 5}, "unexpected keyword argument 'every'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        AcDc(sparsity=0.9, **options)  # type: ignore[arg-type]
