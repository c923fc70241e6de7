"""Masks under a minimum threshold that a GPU makes by itself are those of the CPU."""

from __future__ import annotations

import hashlib

import pytest
import torch
from fake_cuda import fake_cuda
from hypothesis import given, settings
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.parts.minimum_on_device import rescale_on_device, solve_on_device
from prunebench.methods.parts.minimum_threshold import (
    masks_with_minimum,
    rescale_sparsities,
    solve_sparsities,
    threshold_count,
)
from torch import Tensor

MODES = ("solve", "rescale", "protect")
CASES = [
    (sizes, sparsity, percent, mode)
    for sizes in ([20, 100, 880], [5, 100, 895, 3], [40, 40, 40, 40], [7, 1, 2000, 300, 50])
    for sparsity, percent in ((0.9, 1.0), (0.95, 0.2), (0.8, 2.0), (0.5, 4.0))
    for mode in MODES
]


def scores_of(sizes: list[int], seed: int = 0) -> dict[str, Tensor]:
    """Layers of another scale each, with ties."""
    generator = torch.Generator().manual_seed(seed)
    draws = (torch.rand(size, generator=generator).mul(50).round() for size in sizes)
    return {str(i): each * (i + 1) ** 3 for i, each in enumerate(draws)}


def on_device(scores: dict[str, Tensor], sparsity: float, percent: float, mode: str) -> dict[str, list[bool]]:
    """The masks; the host must not wait before they are read."""
    with fake_cuda() as gpu:
        inputs = {name: score.to("cuda") for name, score in scores.items()}
        begin = len(gpu.waits)
        masks = masks_with_minimum(inputs, sparsity, percent, mode)
        assert gpu.waits[begin:] == []
        return {name: mask.tolist() for name, mask in masks.items()}


@pytest.mark.parametrize(("sizes", "sparsity", "percent", "mode"), CASES)
def test_masks_are_those_of_the_cpu(sizes: list[int], sparsity: float, percent: float, mode: str) -> None:
    scores = scores_of(sizes)
    masks = masks_with_minimum(scores, sparsity, percent, mode)
    assert on_device(scores, sparsity, percent, mode) == {name: mask.tolist() for name, mask in masks.items()}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=8), st.floats(0.05, 0.95), st.floats(0.1, 20),
    st.sampled_from(MODES), st.integers(0, 1000),
)  # fmt: skip
def test_whatever_the_layers(sizes: list[int], sparsity: float, percent: float, mode: str, seed: int) -> None:
    scores = scores_of(sizes, seed)
    minimum = threshold_count(sum(sizes), percent)
    if sum(min(minimum, size) for size in sizes) > num_kept(sum(sizes), sparsity):
        with pytest.raises(ValueError, match="minimum_threshold"), fake_cuda():
            masks_with_minimum({name: s.to("cuda") for name, s in scores.items()}, sparsity, percent, mode)
        return
    masks = masks_with_minimum(scores, sparsity, percent, mode)
    assert on_device(scores, sparsity, percent, mode) == {name: mask.tolist() for name, mask in masks.items()}


@pytest.mark.parametrize("removed", [900, 960, 969, 970])
def test_the_rounds_of_the_authors_are_taken_at_once(removed: int) -> None:
    """970 is all that can be removed: the nearer, the more rounds, up to ten thousand."""
    sizes, start = [20, 100, 880], [0.95, 0.99, (removed - 118) / 880]
    minimum, caps = 10, [0.5, 0.9, 870 / 880]
    vectors = [torch.tensor(each, dtype=torch.float64) for each in (sizes, start, caps)]
    solved = solve_sparsities(sizes, start, minimum, removed / 1000)
    assert solve_on_device(*vectors, removed).tolist() == pytest.approx(solved, abs=1e-14)
    rescaled = rescale_sparsities(sizes, start, minimum, removed / 1000)
    assert rescale_on_device(*vectors, removed, 10_000).tolist() == pytest.approx(rescaled, abs=1e-13)


def test_masks_of_the_cpu_are_what_they_were() -> None:
    """The digest that same_numbers.py counts for minimum_threshold.py is that of code that made these masks."""
    digest = hashlib.sha256()
    for sizes, sparsity, percent, mode in CASES:
        for mask in masks_with_minimum(scores_of(sizes), sparsity, percent, mode).values():
            digest.update(mask.numpy().tobytes())
    assert digest.hexdigest()[:16] == "f573321d605ce4cb"
