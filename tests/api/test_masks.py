"""Counts, selection by index and mask upkeep: the arithmetic that everything else is built on."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import Masks, check_finite, keep_largest, keep_largest_of, num_kept
from prunebench.benchmark.api.sites import find_sites
from torch import nn
from torch.nn.utils import parametrize


@pytest.mark.parametrize(
    ("total", "sparsity", "kept"),
    [(100, 0.29, 71), (100, 0.57, 43), (10, 0.5, 5), (25_502_912, 0.9, 2_550_292), (7, 0.0, 7), (1000, 0.999, 1)],
)
def test_num_kept_is_not_fooled_by_floats(total: int, sparsity: float, kept: int) -> None:
    assert num_kept(total, sparsity) == kept


@given(st.integers(1, 10**8), st.integers(0, 99_999))
def test_num_kept_equals_the_exact_rational(total: int, hundred_thousandths: int) -> None:
    exact = total - math.floor(Fraction(hundred_thousandths, 100_000) * total)
    assert num_kept(total, hundred_thousandths / 100_000) == exact


@given(st.lists(st.lists(st.integers(-3, 3), max_size=12), min_size=1, max_size=5), st.data())
def test_several_tensors_are_ranked_as_one(parts: list[list[int]], data: st.DataObject) -> None:
    flat = [value for part in parts for value in part]
    kept = data.draw(st.integers(0, len(flat)))
    masks = keep_largest_of([torch.tensor(part, dtype=torch.float32) for part in parts], kept)
    best = set(sorted(range(len(flat)), key=lambda index: (-flat[index], index))[:kept])
    assert [bool(kept) for mask in masks for kept in mask] == [index in best for index in range(len(flat))]


def test_ties_follow_the_index_whatever_the_strides() -> None:
    scores = torch.ones(2, 3, 2, 2).to(memory_format=torch.channels_last)
    before = scores.clone()
    assert keep_largest(scores, 5).flatten().tolist() == [True] * 5 + [False] * 19
    assert torch.equal(scores, before)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60), st.data())
def test_keep_largest_is_exact_and_settles_ties_by_index(values: list[int], data: st.DataObject) -> None:
    scores = torch.tensor(values, dtype=torch.float32)
    kept = data.draw(st.integers(0, len(values)))
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:kept]
    mask = keep_largest(scores, kept)
    assert mask.nonzero().squeeze(1).tolist() == sorted(expected)


@pytest.mark.parametrize("kept", [0, 1, 17, 40])
def test_keep_largest_with_all_scores_equal(kept: int) -> None:
    mask = keep_largest(torch.zeros(4, 10), kept)
    assert int(mask.sum()) == kept
    assert mask.flatten()[:kept].all()


def test_keep_largest_with_removed_weights_at_minus_infinity() -> None:
    scores = torch.tensor([1.0, -torch.inf, 0.0, -torch.inf])
    assert keep_largest(scores, 2).tolist() == [True, False, True, False]


def test_keep_largest_ranks_bfloat16_like_float32() -> None:
    scores = torch.randn(5000, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(keep_largest(scores, 777), keep_largest(scores.float(), 777))


def test_keep_largest_refuses_an_impossible_count() -> None:
    with pytest.raises(ValueError, match="cannot keep 5 of 4"):
        keep_largest(torch.ones(4), 5)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_scores_that_are_not_finite_are_an_error(bad: float) -> None:
    with pytest.raises(FloatingPointError, match="1 of 3 scores of layer 'a'"):
        check_finite({"a": torch.tensor([1.0, bad, 0.0])})


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.complex64])
def test_scores_that_are_no_floats_are_an_error(dtype: torch.dtype) -> None:
    scores = torch.ones(3).to(dtype)
    with pytest.raises(TypeError, match="scores of layer 'a' are torch"):
        check_finite({"a": scores})
    with pytest.raises(TypeError, match="must be floats"):
        keep_largest(scores, 1)


def test_sites_are_conv_and_linear_weights_in_order_and_shared_tensors_count_once() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), shared, nn.Linear(4, 4))
    model[4].weight = shared.weight
    assert [site.name for site in find_sites(model)] == ["0.weight", "3.weight"]


def test_sites_behind_a_parametrisation_are_all_found() -> None:
    """Each access to such a weight makes a new tensor; one that reuses freed memory must not count as shared."""
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(6)))
    for layer in model:
        parametrize.register_parametrization(layer, "weight", nn.ReLU())
    assert all(len(find_sites(model)) == 6 for _ in range(50))


def test_depthwise_is_seen() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 3, groups=2), nn.Conv2d(4, 4, 1))
    assert [site.is_depthwise for site in find_sites(model)] == [True, False, False]
    transposed = nn.Sequential(nn.ConvTranspose2d(4, 8, 3, groups=4), nn.ConvTranspose2d(4, 2, 3, groups=2))
    assert [site.is_depthwise for site in find_sites(transposed)] == [True, False]


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (nn.ConvTranspose2d(2, 3, 3), ["weight"]),
        (nn.Bilinear(2, 3, 4), ["weight"]),
        (nn.LSTM(2, 3, 2), ["weight_ih_l0", "weight_hh_l0", "weight_ih_l1", "weight_hh_l1"]),
        (nn.LSTM(2, 3, proj_size=2), ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0"]),
        (
            nn.GRU(2, 3, bidirectional=True),
            ["weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse"],
        ),
        (nn.RNNCell(2, 3), ["weight_ih", "weight_hh"]),
        (nn.MultiheadAttention(4, 2), ["in_proj_weight", "out_proj.weight"]),
        (
            nn.MultiheadAttention(4, 2, kdim=3, add_bias_kv=True),
            ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"],
        ),
        (nn.Embedding(4, 2), []),
        (nn.LayerNorm((4, 4)), []),
        (nn.Sequential(nn.Linear(0, 3), nn.Linear(3, 2)), ["1.weight"]),
    ],
    ids=str,
)
def test_sites_of_every_kind_of_layer(layer: nn.Module, names: list[str]) -> None:
    assert [site.name for site in find_sites(layer)] == names


def test_a_shared_tensor_knows_all_its_holders_behind_parametrisations_too() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(4, 4), "one": nn.Linear(4, 4), "two": nn.Linear(4, 4)})
    model["embed"].weight = model["two"].weight = model["one"].weight
    holders = [(model["one"], "weight"), (model["two"], "weight"), (model["embed"], "weight")]
    for _ in range(2):
        (site,) = find_sites(model)
        assert (site.name, list(site.uses)) == ("one.weight", holders)
        for module in model.values():
            if not parametrize.is_parametrized(module):
                parametrize.register_parametrization(module, "weight", nn.ReLU())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_masks_are_exact_under_momentum_and_weight_decay(optimizer: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)).to(
        memory_format=torch.channels_last
    )
    masks = Masks(find_sites(model))
    # Momentum is built up before the pruning, so old buffers move pruned weights.
    make = {"sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
            "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)}[optimizer]  # fmt: skip
    optim = make(model.parameters())
    for step in range(6):
        if step == 2:
            masks.set({n: keep_largest(s.weight.detach().abs(), 11) for n, s in masks.sites.items()})
        optim.zero_grad()
        model(torch.randn(4, 3, 8, 8)).square().mean().backward()
        optim.step()
        masks.apply()
        if step >= 2:
            for name, site in masks.sites.items():
                assert (site.weight[~masks[name]] == 0).all()
                assert (site.weight[masks[name]] != 0).all()
    assert masks.num_kept == 22


def test_masks_of_a_wrong_shape_are_refused() -> None:
    masks = Masks(find_sites(nn.Linear(3, 2)))
    with pytest.raises(ValueError, match="must be bool of shape"):
        masks.set({"weight": torch.ones(3, 3, dtype=torch.bool)})


def test_selection_settles_in_full_precision_what_float32_cannot_tell_apart() -> None:
    one = 1.0 + torch.tensor([3e-12, 1e-12, 2e-12, 2e-12, 4e-12], dtype=torch.float64)
    assert torch.equal(one.float(), torch.ones(5))
    assert keep_largest(one, 3).tolist() == [True, False, True, False, True], "of equals the earlier"
    huge = [torch.tensor([1e300, 1e200], dtype=torch.float64), torch.tensor([1e250, -1e300, 1.0], dtype=torch.float64)]
    assert [mask.tolist() for mask in keep_largest_of(huge, 2)] == [[True, False], [True, False, False]]


def test_selection_reads_any_memory_layout_in_the_order_of_the_indices() -> None:
    """Channels last is another order in memory; ties still go to the lower index."""
    scores = torch.tensor([1.0, 2.0, 2.0, 0.0, 2.0, 2.0, 1.0, 2.0]).view(1, 2, 2, 2)
    layouts = (scores, scores.contiguous(memory_format=torch.channels_last))
    for masks in (keep_largest_of([layout, layout], 7) for layout in layouts):
        assert masks[0].flatten().tolist() == [False, True, True, False, True, True, False, True]
        assert masks[1].flatten().tolist() == [False, True, True, False, False, False, False, False]
