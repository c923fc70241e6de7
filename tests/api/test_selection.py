"""Selection on a GPU has the masks of the selection on a CPU, bit for bit, and the host does not wait for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from fake_cuda import fake_cuda
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import Masks, keep_largest, keep_largest_of
from prunebench.benchmark.api.sites import find_sites
from torch import Tensor, nn

TIES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -math.inf, 5e-324, 1e-45, 3e38, 1.0000001])
PARTS = st.lists(st.lists(TIES, max_size=15), min_size=1, max_size=4)


def on_gpu(scores: Sequence[Tensor], kept: int) -> list[Tensor]:
    with fake_cuda() as gpu:
        sent = [score.to("cuda", non_blocking=True) for score in scores]
        masks = keep_largest_of(sent, kept)
        assert gpu.waits == []
        return [mask.cpu() for mask in masks]


def assert_same_as_on_cpu(scores: Sequence[Tensor], kept: int) -> None:
    for found, expected in zip(on_gpu(scores, kept), keep_largest_of(scores, kept), strict=True):
        assert found.shape == expected.shape
        assert torch.equal(found, expected)


@given(PARTS, st.sampled_from([torch.float32, torch.float64, torch.bfloat16]), st.data())
def test_many_ties(parts: list[list[float]], dtype: torch.dtype, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, sum(map(len, parts))))
    assert_same_as_on_cpu([torch.tensor(part, dtype=torch.float64).to(dtype) for part in parts], kept)


@pytest.mark.parametrize("kept", [0, 1, 2, 59_999, 99_998, 99_999, 100_000])
def test_many_scores_and_the_ends(kept: int) -> None:
    scores = torch.randn(4, 25_000, generator=torch.Generator().manual_seed(0))
    assert_same_as_on_cpu([scores.bfloat16().float()], kept)


def test_types_and_strides_may_differ_between_layers() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 4, (3, 4, 5, 5), generator=generator).float().to(memory_format=torch.channels_last)
    matrix = torch.randint(0, 4, (6, 10), generator=generator).double().t()
    for kept in (1, 100, 250, 359):
        assert_same_as_on_cpu([image, matrix], kept)


def test_by_hand() -> None:
    """The second and third score tie for two places that are left after the first: the earlier entries have them."""
    scores = [torch.tensor([0.0, 3.0]), torch.tensor([[-0.0], [0.0]]), torch.tensor([-1.0])]
    assert [mask.flatten().tolist() for mask in on_gpu(scores, 3)] == [[True, True], [True, False], [False]]


def test_scores_that_are_not_finite_are_an_error_at_the_next_inspection() -> None:
    with fake_cuda() as gpu:
        masks = Masks(find_sites(nn.Linear(3, 1, bias=False).to("cuda")))
        for bad in (torch.nan, 1.0, torch.inf):
            scores = torch.tensor([[bad, 0.0, 1.0]]).to("cuda", non_blocking=True)
            begin = len(gpu.waits)
            masks.check_finite({"weight": scores})
            masks.set({"weight": keep_largest(scores, 2)}, kept=2)
            assert gpu.waits[begin:] == []
        with pytest.raises(FloatingPointError, match="2 of 3 scores of layer 'weight' are not finite"):
            masks.inspect()
        with pytest.raises(TypeError, match=r"scores of layer 'weight' are torch\.int64"):
            masks.check_finite({"weight": torch.tensor([1]).to("cuda")})


def test_masks_of_another_number_are_an_error_at_the_next_inspection() -> None:
    with fake_cuda() as gpu:
        masks = Masks(find_sites(nn.Linear(3, 1, bias=False).to("cuda")))
        masks.set({"weight": torch.tensor([[True, False, True]]).to("cuda")}, kept=1)
        with pytest.raises(AssertionError, match="2 weights kept, 1 wanted"):
            masks.inspect()
        masks.set({"weight": torch.tensor([[True, False, False]]).to("cuda")}, kept=1)
        begin = len(gpu.waits)
        layer = masks.inspect()["weight"]
        assert (layer.kept, layer.leaked, layer.not_finite) == (1, 0, 0)
        assert len(gpu.waits[begin:]) == 1
    masks = Masks(find_sites(nn.Linear(3, 1, bias=False)))
    with pytest.raises(AssertionError, match="2 weights kept, 1 wanted"):
        masks.set({"weight": torch.tensor([[True, False, True]])}, kept=1)
