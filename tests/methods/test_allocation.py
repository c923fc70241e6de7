"""Budgets: exact totals, published ERK densities, the minimum threshold's worked examples."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.parts.allocation import apportion, erk_densities, global_masks, layer_counts, masks_by_count
from prunebench.methods.parts.minimum_threshold import (
    masks_with_minimum,
    rescale_sparsities,
    solve_sparsities,
    threshold_count,
)
from prunebench.methods.parts.schedule import Cubic, Exponential, Held, OneShot, cubic, events, exponential
from prunebench.methods.registry import create

MODES = ("solve", "rescale", "protect")
TINY = {"a": (16, 3, 3, 3), "b": (32, 16, 3, 3), "c": (10, 32)}
SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=6)


@given(SIZES, st.floats(0, 0.999), st.integers(0, 3))
def test_apportion_adds_up_within_one_of_each_quota(sizes: list[int], sparsity: float, minimum: int) -> None:
    total = num_kept(sum(sizes), sparsity)
    if total < sum(min(minimum, size) for size in sizes):
        with pytest.raises(ValueError, match="cannot keep"):
            apportion([(1 - sparsity) * size for size in sizes], sizes, total, minimum)
        return
    quotas = [(1 - sparsity) * size for size in sizes]
    counts = apportion(quotas, sizes, total, minimum)
    assert sum(counts) == total
    assert all(min(minimum, size) <= count <= size for count, size in zip(counts, sizes, strict=True))
    if minimum == 0:
        assert all(abs(count - quota) <= 1 + 1e-6 for count, quota in zip(counts, quotas, strict=True))


def test_apportion_gives_remainders_to_the_largest_fraction_then_the_first() -> None:
    assert apportion([1.2, 1.7, 1.7], [5, 5, 5], 4) == [1, 2, 1]
    assert apportion([0.0, 3.0], [5, 5], 3, minimum=1) == [1, 2]


@pytest.mark.parametrize(
    ("sparsity", "densities", "kept"),
    [
        (0.80, (0.551600, 0.111699, 1.0), (239, 515, 320)),
        (0.90, (0.256830, 0.052008, 0.582490), (111, 240, 187)),
        (0.95, (0.128654, 0.026052, 0.291787), (56, 121, 94)),
    ],
)
def test_erk_of_a_tiny_network(sparsity: float, densities: tuple[float, ...], kept: tuple[int, ...]) -> None:
    found = erk_densities(TINY, sparsity)
    assert tuple(found.values()) == pytest.approx(densities, abs=1e-6)
    sizes = [math.prod(shape) for shape in TINY.values()]
    # RigL's floor per layer, as the published counts were made; ours may differ by one a layer to meet the total
    assert tuple(n - math.floor((1 - d) * n) for n, d in zip(sizes, found.values(), strict=True)) == kept
    scores = {name: torch.rand(shape) for name, shape in TINY.items()}
    ours = layer_counts(scores, sparsity, "erk")
    assert ours is not None
    assert sum(ours.values()) == num_kept(sum(sizes), sparsity)
    assert all(abs(ours[name] - k) <= 1 for name, k in zip(TINY, kept, strict=True))


def test_erk_power_zero_is_uniform_and_dense_layers_stand_outside() -> None:
    assert erk_densities(TINY, 0.9, power=0.0).values() == pytest.approx([0.1, 0.1, 0.1], rel=0.01)
    assert erk_densities(TINY, 0.9, dense=["a"])["a"] == 1.0


@given(SIZES, st.sampled_from([0.0, 0.5, 0.9, 0.98]), st.sampled_from(["global", "layerwise", "erk"]), st.booleans())
def test_every_scope_keeps_exactly_the_target(sizes: list[int], sparsity: float, scope: str, equal: bool) -> None:
    generator = torch.Generator().manual_seed(len(sizes))
    scores = {
        str(i): torch.zeros(size, 1) if equal else torch.rand(size, 1, generator=generator)
        for i, size in enumerate(sizes)
    }
    total = num_kept(sum(sizes), sparsity)
    counts = layer_counts(scores, sparsity, scope)
    masks = global_masks(scores, total) if counts is None else masks_by_count(scores, counts)
    assert sum(int(mask.sum()) for mask in masks.values()) == total


def test_global_collapses_a_layer_that_layerwise_keeps() -> None:
    scores = {"1": torch.tensor([[0.9, 0.2], [0.5, 0.1]]), "2": torch.tensor([[0.15, 0.05]])}
    masks = global_masks(scores, 3)
    assert masks["1"].tolist() == [[True, True], [True, False]]
    assert masks["2"].tolist() == [[False, False]]
    counts = layer_counts(scores, 0.5, "layerwise")
    assert counts == {"1": 2, "2": 1}
    assert masks_by_count(scores, counts)["2"].tolist() == [[True, False]]


def test_ties_across_layers_are_settled_by_position() -> None:
    scores = {"1": torch.tensor([[1.0, 2.0], [3.0, 0.5]]), "2": torch.tensor([[2.0, 1.0]])}
    masks = global_masks(scores, 3)
    assert masks["1"].tolist() == [[False, True], [True, False]]
    assert masks["2"].tolist() == [[True, False]]


MT_CASES = [
    ((20, 100, 880), (0.9, 1.0, 782 / 880), 10, (0.5, 0.9, 800 / 880), (10, 10, 80)),
    ((5, 100, 895), (0.2, 0.99, 797 / 895), 10, (0.0, 0.9, 810 / 895), (5, 10, 85)),
    ((20, 100, 880), (0.9, 1.0, 782 / 880), 30, (0.0, 0.7, 830 / 880), (20, 30, 50)),
]


@pytest.mark.parametrize(("sizes", "start", "minimum", "expected", "kept"), MT_CASES)
def test_minimum_threshold_examples(sizes, start, minimum, expected, kept) -> None:
    solved = solve_sparsities(sizes, start, minimum, 0.9)
    assert solved == pytest.approx(expected, abs=1e-12)
    # the authors' loop never ends on these three; ours stops beside the same fixed point
    assert rescale_sparsities(sizes, start, minimum, 0.9) == pytest.approx(expected, abs=1e-8)
    quotas = [(1 - s) * n for s, n in zip(solved, sizes, strict=True)]
    assert tuple(apportion(quotas, sizes, 100, minimum)) == kept


def test_minimum_threshold_repairs_the_collapsed_layer() -> None:
    scores = {"1": torch.tensor([[0.9, 0.2], [0.5, 0.1]]), "2": torch.tensor([[0.15, 0.05]])}
    assert threshold_count(6, 100 / 6) == 1
    for mode in MODES:
        masks = masks_with_minimum(scores, 0.5, 100 / 6, mode)
        assert masks["1"].tolist() == [[True, False], [True, False]]
        assert masks["2"].tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("total", "percent", "count"), [(4_209_088, 0.2, 8_418), (2_261_824, 0.02, 452), (1000, 1.0, 10)]
)
def test_minimum_threshold_counts_of_the_paper(total: int, percent: float, count: int) -> None:
    assert threshold_count(total, percent) == count


@settings(max_examples=60)
@given(SIZES, st.floats(0.05, 0.95), st.floats(0.1, 20), st.sampled_from(MODES), st.integers(0, 1000))
def test_minimum_threshold_meets_total_and_minimum(
    sizes: list[int], sparsity: float, percent: float, mode: str, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = {str(i): torch.rand(size, generator=generator) * (i + 1) ** 3 for i, size in enumerate(sizes)}
    total, minimum = sum(sizes), threshold_count(sum(sizes), percent)
    kept = num_kept(total, sparsity)
    if sum(min(minimum, size) for size in sizes) > kept:
        with pytest.raises(ValueError, match="minimum_threshold"):
            masks_with_minimum(scores, sparsity, percent, mode)
        return
    masks = masks_with_minimum(scores, sparsity, percent, mode)
    counts = [int(mask.sum()) for mask in masks.values()]
    assert sum(counts) == kept
    assert all(count >= min(minimum, size) for count, size in zip(counts, sizes, strict=True))


@pytest.mark.parametrize(("begin", "end"), [(0.9, 1.0), (0.0, 0.1), (0.5, 0.51), (0.99, 1.0)])
@pytest.mark.parametrize("total", [1, 4, 100])
def test_a_schedule_always_has_a_last_event_that_reaches_the_target(begin: float, end: float, total: int) -> None:
    times = events(total, 1, begin, end, 0)
    due = [step for step in range(total) if times.is_due(step)]
    assert due
    assert cubic(times.progress(due[-1]), 0.9) == 0.9


def test_cubic_ramp_values() -> None:
    values = [cubic(p, 0.9) for p in (0, 0.25, 0.5, 0.75, 1)]
    assert values == pytest.approx([0, 0.5203125, 0.7875, 0.8859375, 0.9], abs=1e-12)


@given(st.floats(0.01, 0.99), st.integers(1, 50))
def test_exponential_rounds_multiply_to_the_density(sparsity: float, rounds: int) -> None:
    density = 1.0
    for step in range(1, rounds + 1):
        next_density = 1 - exponential(step / rounds, sparsity)
        assert next_density <= density + 1e-12
        density = next_density
    assert density == pytest.approx(1 - sparsity)


@settings(max_examples=50)
@given(SIZES, st.sampled_from(["layerwise", "erk"]), st.integers(0, 1000))
def test_masks_are_nested_while_the_sparsity_rises(sizes: list[int], scope: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = {str(i): torch.rand(size, 1, generator=generator) for i, size in enumerate(sizes)}
    kept = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    for sparsity in (0.1, 0.35, 0.5, 0.62, 0.8, 0.9):
        live = {name: score.masked_fill(~kept[name], -torch.inf) for name, score in scores.items()}
        counts = layer_counts(live, sparsity, scope)
        assert counts is not None
        renewed = masks_by_count(live, counts)
        assert all((kept[name] | ~renewed[name]).all() for name in renewed)
        kept = renewed


def test_schedules_are_values() -> None:
    assert OneShot(final=0.75).before_training() == Held(final=0.75, every=16).before_training() == [0.75]
    assert Exponential(final=0.75, prune_rounds=2).before_training() == [0.5, 0.75]
    ramp = Cubic(final=0.8, begin=0.1, end=0.5, every=10, initial_sparsity=0.2)
    assert ramp.before_training() == []
    assert ramp.events(100, 20) == events(100, 20, 0.1, 0.5, 10)
    assert (ramp.at(0.0), ramp.at(0.5), ramp.at(1.0)) == (pytest.approx(0.2), 0.8 - 0.6 / 8, 0.8)
    assert OneShot(final=0.75).events(100, 20) is None
    with pytest.raises(ValueError, match=r"begin is 0\.5; it must be less than end, 0\.5"):
        Cubic(final=0.8, begin=0.5, end=0.5)
    with pytest.raises(ValueError, match=r"initial_sparsity is 0\.9; it must be at most sparsity, 0\.8"):
        Cubic(final=0.8, initial_sparsity=0.9)


def test_a_schedule_takes_its_own_options_only() -> None:
    assert create("synflow", 0.5, {"schedule": "one_shot"})
    assert create("synflow", 0.5, {"schedule": "one_shot", "prune_rounds": 1}), "what one_shot does"
    for name, options, message in (
        ("synflow", {"schedule": "one_shot", "prune_rounds": 3}, "prune_rounds is 3; it needs schedule: exponential"),
        ("global_mp", {"prune_rounds": 3}, "prune_rounds is 3; it needs schedule: exponential, not one_shot"),
        ("global_mp", {"schedule": "exponential", "power": 2.0}, "power is 2.0; it needs schedule: cubic"),
        ("imp", {"schedule": "cubic"}, "unknown option of method 'imp' 'schedule'"),
    ):
        with pytest.raises(UserError, match=message):
            create(name, 0.5, options)
