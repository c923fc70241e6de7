"""Uniform+ and ERK magnitude pruning, and magnitude and random pruning at initialisation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.bases.mask_pruner import MaskPruner
from prunebench.methods.erk_magnitude import ErkMagnitude
from prunebench.methods.magnitude_init import MagnitudeInit
from prunebench.methods.random_init import RandomInit
from prunebench.methods.registry import describe
from prunebench.methods.uniform_plus import UniformPlusMagnitude, uniform_plus_counts
from torch import nn
from toys import prune_now, tiny_net, toy_context

SITES = ("conv1.weight", "conv2.weight", "fc.weight")


def test_uniform_plus_shares_one_rate_where_the_last_layer_allows() -> None:
    # 500 of 1,000 go from the 900 outside the first layer: 5/9 of each
    assert uniform_plus_counts([100, 450, 450], 0.5) == [100, 200, 200]


def test_uniform_plus_keeps_a_fifth_of_the_last_layer() -> None:
    # 880 of 1,000 would leave 10 of the last layer's 450; it keeps 90, and the other 10 of 450 go from the middle
    assert uniform_plus_counts([20, 530, 450], 0.88) == [20, 10, 90]


def test_uniform_plus_empties_no_layer_by_rounding() -> None:
    assert uniform_plus_counts([100, 2, 5000, 450], 0.9) == [100, 1, 365, 90]


def test_uniform_plus_refuses_what_it_cannot_remove() -> None:
    with pytest.raises(ValueError, match="100 of 1000"):
        uniform_plus_counts([30, 520, 450], 0.9)
    with pytest.raises(ValueError, match="4 of 7"):
        uniform_plus_counts([7], 0.5)
    assert uniform_plus_counts([7], 0.0) == [7]


def test_uniform_plus_prunes_the_first_layer_of_an_mlp() -> None:
    """As the code of LAMP does: LeNet-300-100 has 88 % of its weights there, so 90 % could not be met otherwise."""
    sizes = [784 * 300, 300 * 100, 100 * 10]
    assert num_kept(sum(sizes), 0.9) == 26620
    # 200 of the last layer, the other 26,420 at one rate of the 265,200: 23,431.2 and 2,988.7
    assert uniform_plus_counts(sizes, 0.9, first_dense=False) == [23431, 2989, 200]
    with pytest.raises(ValueError, match="a fifth of the last layer is more than the 1 of 10"):
        uniform_plus_counts([10], 0.9, first_dense=False)
    mlp = nn.Sequential(nn.Linear(20, 10, bias=False), nn.Linear(10, 5, bias=False))
    masks = prune_now(UniformPlusMagnitude(sparsity=0.5), toy_context(mlp))
    assert [int(mask.sum()) for mask in masks.values()] == [100, 25]


@given(st.lists(st.integers(1, 300), min_size=2, max_size=6), st.floats(0, 0.95))
def test_uniform_plus_meets_the_total_and_its_two_rules(sizes: list[int], sparsity: float) -> None:
    try:
        counts = uniform_plus_counts(sizes, sparsity)
    except ValueError:
        removable = sum(sizes[1:-1]) + (sizes[-1] * 4) // 5
        assert sum(sizes) - num_kept(sum(sizes), sparsity) > removable
        return
    assert sum(counts) == num_kept(sum(sizes), sparsity)
    assert counts[0] == sizes[0]
    assert counts[-1] >= 0.2 * sizes[-1]
    middle = [count / size for count, size in zip(counts[1:-1], sizes[1:-1], strict=True)]
    spread = [1 / size for size in sizes[1:-1]]
    assert all(
        abs(a - b) <= s + t for a, s in zip(middle, spread, strict=True) for b, t in zip(middle, spread, strict=True)
    )


def test_uniform_plus_masks_hold_the_largest_weights_of_each_layer() -> None:
    model = tiny_net()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    masks = prune_now(UniformPlusMagnitude(sparsity=0.8), toy_context(model))
    assert masks["conv1.weight"].all()
    assert int(masks["fc.weight"].sum()) == 7  # ceil(0.2 * 32)
    for name, mask in masks.items():
        magnitudes = weights[name].abs()
        assert magnitudes[mask].min() >= magnitudes[~mask].max() if not mask.all() else True


@pytest.mark.parametrize("change", [{"scope": "erk"}, {"minimum_threshold": 1.0}])
def test_uniform_plus_refuses_another_budget(change: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        UniformPlusMagnitude(sparsity=0.5, **change)  # type: ignore[arg-type]


def test_erk_gives_small_layers_more() -> None:
    masks = prune_now(ErkMagnitude(sparsity=0.9), toy_context(tiny_net()))
    assert sum(int(mask.sum()) for mask in masks.values()) == num_kept(356, 0.9)
    density = {name: float(mask.float().mean()) for name, mask in masks.items()}
    assert density["fc.weight"] > density["conv1.weight"] > density["conv2.weight"]  # 12/32, 11/36, 18/288


@pytest.mark.parametrize(("name", "method"), [("magnitude_init", MagnitudeInit), ("random_init", RandomInit)])
def test_methods_at_initialisation_start_there_for_the_planner_too(name: str, method: type[MaskPruner]) -> None:
    assert method(sparsity=0.5).start == "init"
    assert describe(name).start == "init"
    masks = prune_now(method(sparsity=0.5), toy_context(tiny_net()))
    assert sum(int(mask.sum()) for mask in masks.values()) == 178


def test_magnitude_at_init_keeps_the_largest_of_all() -> None:
    weights = torch.cat([p.detach().abs().flatten() for n, p in tiny_net().named_parameters() if n in SITES])
    masks = prune_now(MagnitudeInit(sparsity=0.5), toy_context(tiny_net()))
    flat = torch.cat([mask.flatten() for mask in masks.values()])
    assert weights[flat].min() > weights[~flat].max()
