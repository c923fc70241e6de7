"""N:M: masks worked out by hand, the groups' axis, eligibility, and the pattern after training."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prunebench.benchmark.training.measure import kept_by_layer
from prunebench.methods.nm_magnitude import NmMagnitude, nm_mask
from torch import nn
from toys import prune_now, resume_equals_uninterrupted, tiny_net, toy_context, train_all


def test_groups_of_four_with_ties_by_index() -> None:
    weight = torch.tensor([[0.1, -0.4, 0.3, 0.2, 0.5, 0.5, 0.5, 0.1]])
    assert nm_mask(weight, 2, 4).int().tolist() == [[0, 1, 1, 0, 1, 1, 0, 0]]


def test_groups_run_along_the_input_channels_of_a_convolution() -> None:
    weight = torch.zeros(1, 4, 1, 2)
    weight[0, :, 0, 0] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    weight[0, :, 0, 1] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    mask = nm_mask(weight, 2, 4)
    assert mask[0, :, 0, 0].int().tolist() == [1, 1, 0, 0]
    assert mask[0, :, 0, 1].int().tolist() == [0, 0, 1, 1]


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.sampled_from([(1, 2), (2, 4), (1, 4), (4, 8)]))
def test_every_group_keeps_its_n_largest(outputs: int, groups: int, kernel: int, pattern: tuple[int, int]) -> None:
    n, m = pattern
    weight = torch.randn(outputs, groups * m, kernel, generator=torch.Generator().manual_seed(outputs * groups))
    mask = nm_mask(weight, n, m)
    for o in range(outputs):
        for k in range(kernel):
            for kept, values in zip(mask[o, :, k].split(m), weight[o, :, k].abs().split(m), strict=True):
                assert int(kept.sum()) == n
                assert values[kept].min() >= values[~kept].max()


def test_layers_that_do_not_fit_stay_dense_and_are_counted() -> None:
    model = tiny_net()
    pruner = NmMagnitude(sparsity=0.5)
    prune_now(pruner, toy_context(model))
    # conv1 has one input channel; conv2 has 4, fc has 8
    assert kept_by_layer(model, pruner) == {"conv1.weight": (36, 36), "conv2.weight": (144, 288), "fc.weight": (16, 32)}


def test_hardware_rule_is_stricter() -> None:
    model = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(16, 10))
    masks = prune_now(NmMagnitude(rule="hardware"), toy_context(model))
    assert list(masks) == ["0.weight"]
    assert list(prune_now(NmMagnitude(), toy_context(model))) == ["0.weight", "1.weight", "2.weight"]


def test_bad_values_are_refused() -> None:
    for options in ({"n": 4}, {"n": 0}, {"rule": "asp"}, {"sparsity": 0.9}, {"sparsity": 0.5, "n": 1}):
        with pytest.raises(ValueError, match=r"^(n|rule|sparsity) is .*; it must be"):
            NmMagnitude(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no layer fits 3:7"):
        NmMagnitude(n=3, m=7).attach(toy_context(tiny_net()))


def test_pattern_holds_through_training_and_a_resume() -> None:
    model, _ = train_all(NmMagnitude(), toy_context(tiny_net()))
    groups = model.get_parameter("conv2.weight").movedim(1, -1).reshape(-1, 4)
    assert ((groups != 0).sum(dim=1) == 2).all()
    resume_equals_uninterrupted(lambda: NmMagnitude(), epochs=2)
