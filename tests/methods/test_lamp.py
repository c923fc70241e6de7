"""LAMP: the scores and the mask of the worked example, and what the scores must satisfy for any weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prunebench.methods.lamp import Lamp, lamp_scores
from toys import kept_positions, linear_context, prune_now, resume_equals_uninterrupted, tiny_net, toy_context

WEIGHTS = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40)


def test_scores_of_the_worked_example() -> None:
    expected = torch.tensor([[0.071429, 0.307692], [1.0, 0.017544]], dtype=torch.float64)
    assert torch.allclose(lamp_scores(torch.tensor([[1.0, -2.0], [3.0, 0.5]])), expected, atol=1e-6)
    assert lamp_scores(torch.tensor([[2.0, -1.0]])).tolist() == [[1.0, 0.2]]


def test_half_of_the_linear_net() -> None:
    masks = prune_now(Lamp(sparsity=0.5), linear_context())
    assert kept_positions(masks) == {"first.weight": [[0, 1], [1, 0]], "second.weight": [[1, 0]]}


@given(WEIGHTS)
def test_scores_rank_as_magnitudes_do_and_the_largest_is_one(values: list[float]) -> None:
    weight = torch.tensor(values)
    scores = lamp_scores(weight)
    by_magnitude = weight.abs().argsort(stable=True)
    assert (scores[by_magnitude].diff() >= 0).all()
    assert scores.max() == (1.0 if weight.any() else 0.0)
    assert not scores[weight == 0].any()


@given(WEIGHTS, st.sampled_from([0.125, 2.0, 1024.0]))
def test_scores_do_not_depend_on_the_scale_of_a_layer(values: list[float], factor: float) -> None:
    weight = torch.tensor(values, dtype=torch.float64)
    assert torch.allclose(lamp_scores(weight * factor), lamp_scores(weight), rtol=1e-12, atol=0)


def test_largest_score_is_exactly_one_in_a_large_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = lamp_scores(torch.randn(300_000, generator=generator))
    assert scores.max() == 1.0
    assert (scores > 0).all()


@pytest.mark.parametrize("num_left", [3, 4, 20])
def test_no_layer_is_emptied_while_each_can_have_one(num_left: int) -> None:
    masks = prune_now(Lamp(sparsity=1 - num_left / 356), toy_context(tiny_net()))
    assert sum(int(mask.sum()) for mask in masks.values()) == num_left
    assert all(mask.any() for mask in masks.values())


def test_gradual_lamp_nests_its_masks_and_resumes() -> None:
    resume_equals_uninterrupted(lambda: Lamp(sparsity=0.9, start="init", schedule="cubic", every=2))
