"""Gradual pruning: the ramp's values and steps, nested masks, the exact final sparsity, GMP's distributions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.ac_dc import AcDc
from prunebench.methods.bases.mask_pruner import MaskPruner
from prunebench.methods.gradual_magnitude import GradualMagnitude
from prunebench.methods.magnitude import GlobalMagnitude
from prunebench.methods.parts.schedule import cubic, events
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


def gradual_global_mp(sparsity: float = 0.9, **options: object) -> GlobalMagnitude:
    return GlobalMagnitude(sparsity=sparsity, start="init", schedule="cubic", **options)  # type: ignore[arg-type]


def test_the_ramp_has_the_published_values() -> None:
    values = [cubic(progress, 0.9) for progress in (0, 0.25, 0.5, 0.75, 1)]
    assert values == pytest.approx([0, 0.5203125, 0.7875, 0.8859375, 0.9], abs=1e-12)
    assert values[-1] == 0.9


@pytest.mark.parametrize(
    ("begin", "end", "every", "expected"),
    [
        (0.0, 0.75, 0, [0, 10, 20, 30, 40, 50, 60, 70, 74]),
        (0.1, 0.5, 15, [10, 25, 40, 49]),
        (0.0, 1.0, 40, [0, 40, 80, 99]),
        (0.5, 0.75, 1000, [50, 74]),
    ],
)
def test_events_are_every_interval_and_at_the_end(begin: float, end: float, every: int, expected: list[int]) -> None:
    schedule = events(100, 10, begin, end, every)
    assert [step for step in range(100) if schedule.is_due(step)] == expected
    assert schedule.progress(expected[0]) == 0
    assert schedule.progress(expected[-1]) == 1


@given(st.integers(1, 60), st.integers(1, 9), st.floats(0, 0.9), st.floats(0.01, 1), st.integers(0, 70))
def test_the_last_event_always_happens(epochs: int, per_epoch: int, begin: float, share: float, every: int) -> None:
    end = begin + share * (1 - begin)
    assume(round(begin * epochs * per_epoch) < epochs * per_epoch)
    schedule = events(epochs * per_epoch, per_epoch, begin, end, every)
    due = [step for step in range(epochs * per_epoch) if schedule.is_due(step)]
    assert due, "no event falls into the training"
    progress = [schedule.progress(step) for step in due]
    assert progress == sorted(progress)
    assert progress[-1] == 1


@pytest.mark.parametrize("pruner", [gradual_global_mp(every=2), GradualMagnitude(sparsity=0.9, every=2)])
def test_masks_are_nested_and_follow_the_ramp_exactly(pruner: MaskPruner) -> None:
    model = tiny_net()
    context = toy_context(model, epochs=5, steps_per_epoch=4)
    pruner.attach(context)
    pruner.begin_round(0)
    optimizer = make_optimizer(pruner)
    schedule = events(20, 4, 0, 0.75, 2)
    kept, before = [], {name: mask.clone() for name, mask in pruner.masks.items()}
    for step in range(20):
        train_step(pruner, model, optimizer, step)
        if schedule.is_due(step):
            kept.append(num_kept(356, cubic(schedule.progress(step), 0.9)))
        assert pruner.masks.num_kept == kept[-1]
        for name, mask in pruner.masks.items():
            assert not (mask & ~before[name]).any(), "a pruned weight came back"
            assert not pruner.masks.sites[name].weight[~mask].any()
            before[name] = mask.clone()
    # 356 - floor(356 * 0.9 * (1 - (1 - k / 7)^3)) for the events at steps 0, 2, ..., 14
    assert kept == [356, 238, 153, 96, 61, 44, 37, 36]


def test_the_global_ramp_may_empty_a_layer_and_gmp_may_not() -> None:
    densities = {}
    for make in (gradual_global_mp, GradualMagnitude):
        model = tiny_net()
        with torch.no_grad():
            model.conv2.weight.mul_(1e-3)
        pruner = make(sparsity=0.9, every=1, end=0.1)
        train_all(pruner, toy_context(model, epochs=1))
        densities[make] = pruner.masks.densities()["conv2.weight"]
    assert densities[gradual_global_mp] < 0.01
    assert densities[GradualMagnitude] == pytest.approx(0.1, abs=1 / 288)


def test_resume_and_ranks() -> None:
    resume_equals_uninterrupted(lambda: gradual_global_mp(every=3))
    resume_equals_uninterrupted(lambda: GradualMagnitude(sparsity=0.9, every=3))
    assert_equal_masks(train_on_two_ranks(lambda: GradualMagnitude(sparsity=0.9, every=3)))


def test_first_dense_keeps_the_first_layer_outside_the_sparsity() -> None:
    pruner = GradualMagnitude(sparsity=0.75, distribution="first_dense")
    train_all(pruner, toy_context(tiny_net()))
    assert list(pruner.masks) == ["conv2.weight", "fc.weight"]
    assert pruner.masks.num_kept == 80


def test_extended_by_hand() -> None:
    pruner = GradualMagnitude(sparsity=0.8, distribution="extended")
    scores = {"first": torch.rand(100), "middle": torch.rand(800), "last": torch.rand(100)}
    # 800 leave. One rate over the last two, 800 / 900, would take 89 of the last layer's 100; it keeps 20, so the
    # middle loses 720
    masks = pruner.allocate(scores, 0.8)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"first": 100, "middle": 80, "last": 20}
    assert scores["last"][masks["last"]].min() > scores["last"][~masks["last"]].max()
    # early in the ramp the last layer takes part like the others: 450 of 900
    early = pruner.allocate(scores, 0.45)
    assert {name: int(mask.sum()) for name, mask in early.items()} == {"first": 100, "middle": 400, "last": 50}


@pytest.mark.parametrize(
    "pruner",
    [
        GradualMagnitude(sparsity=0.95, distribution="extended"),
        GradualMagnitude(sparsity=0.95, minimum_threshold=10.0),
        gradual_global_mp(sparsity=0.95, minimum_threshold=10.0),
        AcDc(sparsity=0.95, minimum_threshold=10.0),
    ],
)
def test_a_budget_that_cannot_be_met_fails_before_training(pruner: MaskPruner) -> None:
    with pytest.raises(ValueError, match=r"sparsity|cannot keep"):
        pruner.attach(toy_context(tiny_net()))


def test_extended_trains_to_the_exact_total() -> None:
    pruner = GradualMagnitude(sparsity=0.7, distribution="extended", every=2)
    train_all(pruner, toy_context(tiny_net()))
    assert pruner.masks["conv1.weight"].all()
    assert pruner.masks.num_kept == num_kept(356, 0.7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distribution": "gale"}, "distribution is 'gale'; it must be one of uniform, first_dense, extended"),
        ({"distribution": "extended", "scope": "global"}, "distribution: extended needs scope: layerwise"),
        ({"distribution": "extended", "minimum_threshold": 0.1}, "takes no minimum_threshold"),
        ({"schedule": "one_shot", "end": 0.5}, "end is 0.5; it needs schedule: cubic"),
        ({"minimum_threshold_mode": "protect"}, "minimum_threshold_mode is 'protect'; it needs scope: global"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GradualMagnitude(sparsity=0.9, **options)  # type: ignore[arg-type]
