"""Wanda and magnitude by row: numbers by hand, exact counts, patterns, dead inputs, one sample, refused options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from layer_problems import layer_context, linear, pruned, random
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.nm_magnitude import nm_mask
from prunebench.methods.parts.matrix_masks import keep_by_rows
from prunebench.methods.registry import create
from prunebench.methods.row_magnitude import RowMagnitude
from prunebench.methods.wanda import Wanda
from torch import nn
from toys import kept_positions, prune_now, resume_equals_uninterrupted, tiny_net, toy_context

WEIGHT = torch.tensor([[3.0, -2.0, 1.0, 0.5], [0.1, 0.2, -0.3, 0.4]], dtype=torch.float64)
INPUTS = torch.tensor([[1.0, 0.0, 3.0, 0.0], [0.0, 2.0, 4.0, 10.0]], dtype=torch.float64)
"""Norms 1, 2, 5 and 10: scores 3, 4, 5, 5 and 0.1, 0.4, 1.5, 4."""


def test_wanda_by_hand() -> None:
    mask, weight = pruned(Wanda(sparsity=0.5), WEIGHT, INPUTS)
    assert mask.int().tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]
    assert weight.tolist() == [[0, 0, 1, 0.5], [0, 0, -0.3, 0.4]]


def test_magnitude_by_row_by_hand() -> None:
    model = linear(WEIGHT)
    assert kept_positions(prune_now(RowMagnitude(sparsity=0.5), layer_context(model, INPUTS))) == {
        "0.weight": [[1, 1, 0, 0], [0, 0, 1, 1]]
    }


def test_rows_that_do_not_divide_evenly() -> None:
    """5 of 8 stay: three in the first row, two in the second, whatever the scores are."""
    mask, _ = pruned(Wanda(sparsity=3 / 8), WEIGHT, INPUTS)
    assert mask.int().tolist() == [[0, 1, 1, 1], [0, 0, 1, 1]]
    scores = torch.arange(12.0).view(2, 2, 3)
    assert keep_by_rows(scores, 5).sum(dim=2).tolist() == [[2, 1], [1, 1]]
    assert keep_by_rows(scores, 12).all()
    assert not keep_by_rows(scores, 0).any()


def test_n_of_m_by_hand() -> None:
    mask, _ = pruned(Wanda(sparsity=0.5, pattern="n:m", n=1, m=2), WEIGHT, INPUTS)
    assert mask.int().tolist() == [[0, 1, 1, 0], [0, 1, 0, 1]]  # 5 and 5 tie: the first


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.77, 0.9, 0.999])
@pytest.mark.parametrize("method", ["row_magnitude", "wanda", "sparsegpt", "obc", "alps"])
def test_counts_are_exact_and_alike_in_all_layers(method: str, sparsity: float) -> None:
    options = {} if method == "row_magnitude" else {"calibration_samples": 16}
    model = tiny_net()
    masks = prune_now(create(method, sparsity, options), toy_context(model))
    assert sum(int(mask.sum()) for mask in masks.values()) == num_kept(356, sparsity)
    for name, mask in masks.items():
        assert abs(float(mask.sum()) - (1 - sparsity) * mask.numel()) <= 1, name
        assert (model.get_parameter(name)[~mask] == 0).all()


@pytest.mark.parametrize("method", ["row_magnitude", "wanda"])
def test_rows_keep_as_many_as_each_other(method: str) -> None:
    options = {} if method == "row_magnitude" else {"calibration_samples": 16}
    for mask in prune_now(create(method, 0.6, options), toy_context(tiny_net())).values():
        counts = mask.flatten(1).sum(dim=1)
        assert counts.max() - counts.min() <= 1


def test_the_pattern_of_magnitude_is_that_of_nm_magnitude() -> None:
    """Along the input channels, at each pixel."""
    model = tiny_net()
    masks = prune_now(RowMagnitude(sparsity=0.5, pattern="n:m"), toy_context(model))
    assert masks.keys() == {"conv2.weight", "fc.weight"}  # the first has one channel and stays dense
    dense = tiny_net().state_dict()
    assert all(torch.equal(mask, nm_mask(dense[name], 2, 4)) for name, mask in masks.items())


def test_dead_inputs_go_first_and_one_sample_is_enough() -> None:
    inputs = torch.tensor([[0.0, 1.0, 0.0, 1.0]], dtype=torch.float64)
    mask, weight = pruned(Wanda(sparsity=0.5), WEIGHT, inputs)
    assert mask.int().tolist() == [[0, 1, 0, 1], [0, 1, 0, 1]]
    assert torch.equal(weight[mask], WEIGHT[mask])


def test_only_the_norm_of_a_group_counts_for_its_rows() -> None:
    """A grouped convolution of single pixels: two groups with norms (1, 3) and (3, 1)."""
    layer = nn.Conv2d(4, 2, 1, groups=2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 1.0], [2.0, 1.0]]).view(2, 2, 1, 1))
    inputs = torch.tensor([1.0, 3.0, 3.0, 1.0]).view(1, 4, 1, 1)
    masks = prune_now(Wanda(sparsity=0.5, calibration_samples=1), layer_context(nn.Sequential(layer), inputs))
    assert masks["0.weight"].flatten(1).int().tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"n": 1}, "n is 1; it needs pattern: n:m"), ({"m": 8}, "m is 8; it needs pattern: n:m"),
     ({"pattern": "n:m", "n": 4}, "n is 4; it must be less than m, 4"),
     ({"pattern": "n:m", "n": 1}, "sparsity is 0.5; it must be that of 1:4, 0.75"),
     ({"calibration_samples": 0}, "calibration_samples is 0")],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Wanda(sparsity=0.5, **options)


def test_a_pattern_that_fits_no_layer_is_refused() -> None:
    context = toy_context(tiny_net())
    with pytest.raises(ValueError, match="no layer fits 1:31: none has a multiple of 31 input channels"):
        Wanda(sparsity=1 - 1 / 31, pattern="n:m", n=1, m=31).check(context)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt", "obc", "alps"])
def test_weights_that_are_not_finite_are_an_error(method: str) -> None:
    model = linear(WEIGHT)
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan  # type: ignore[index]
    with pytest.raises(FloatingPointError, match=r"1 of 8 scores of layer '0\.weight' are not finite"):
        prune_now(create(method, 0.5, {}), layer_context(model, INPUTS))


@pytest.mark.parametrize("method", ["sparsegpt", "obc", "alps"])
def test_moved_weights_are_those_of_an_uninterrupted_run_after_a_resume(method: str) -> None:
    resume_equals_uninterrupted(lambda: create(method, 0.6, {"calibration_samples": 16}), epochs=2)


@pytest.mark.parametrize("method", ["sparsegpt", "obc", "alps"])
def test_inputs_that_are_all_zero_leave_magnitude(method: str) -> None:
    """H is a multiple of the identity: nothing makes up for anything, and weights keep their values."""
    model = linear(random(3, 8))
    context = layer_context(model, torch.zeros(4, 8, dtype=torch.float64))
    mask = prune_now(create(method, 0.5, {"calibration_samples": 4}), context)["0.weight"]
    assert mask.sum() == 12
    kept, dense = model[0].weight.detach(), random(3, 8)  # type: ignore[index]
    torch.testing.assert_close(kept, dense * mask)
    assert dense.abs()[mask].min() > dense.abs()[~mask].max()
