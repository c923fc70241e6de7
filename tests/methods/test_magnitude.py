"""Global and layer-wise MP against the worked examples, and what must hold for any magnitude ranking."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.magnitude import GlobalMagnitude, LayerwiseMagnitude
from prunebench.methods.random_pruning import RandomPruning
from toys import TwoLayerLinear, linear_context, prune_now, tiny_net, toy_context


def network(first: list[list[float]], second: list[list[float]]) -> TwoLayerLinear:
    model = TwoLayerLinear()
    with torch.no_grad():
        model.first.weight.copy_(torch.tensor(first))
        model.second.weight.copy_(torch.tensor(second))
    return model


def masks(pruner: GlobalMagnitude | RandomPruning, model: TwoLayerLinear) -> tuple[list, list]:
    found = prune_now(pruner, linear_context(model))
    return found["first.weight"].int().tolist(), found["second.weight"].int().tolist()


def test_global_mp_empties_the_layer_that_layerwise_mp_keeps() -> None:
    model = network([[0.9, -0.2], [0.5, 0.1]], [[-0.15, 0.05]])
    assert masks(GlobalMagnitude(sparsity=0.5), model) == ([[1, 1], [1, 0]], [[0, 0]])
    model = network([[0.9, -0.2], [0.5, 0.1]], [[-0.15, 0.05]])
    assert masks(LayerwiseMagnitude(sparsity=0.5), model) == ([[1, 0], [1, 0]], [[1, 0]])


@pytest.mark.parametrize("mode", ["solve", "rescale", "protect"])
def test_a_minimum_of_one_weight_repairs_it(mode: str) -> None:
    model = network([[0.9, -0.2], [0.5, 0.1]], [[-0.15, 0.05]])
    pruner = GlobalMagnitude(sparsity=0.5, minimum_threshold=100 / 6, minimum_threshold_mode=mode)  # pyright: ignore
    assert masks(pruner, model) == ([[1, 0], [1, 0]], [[1, 0]])


def test_ties_at_the_cut_do_not_change_the_count() -> None:
    """At 50 % the released code removes one weight of six here."""
    assert masks(GlobalMagnitude(sparsity=0.5), network([[1, -2], [3, 0.5]], [[2, -1]])) == ([[0, 1], [1, 0]], [[1, 0]])


@settings(max_examples=30)
@given(st.floats(0.0, 0.99), st.floats(0.0, 0.99), st.integers(0, 5))
def test_masks_are_nested_in_sparsity_and_invariant_to_a_common_scale(low: float, high: float, seed: int) -> None:
    low, high = sorted((low, high))
    found = []
    for sparsity, scale in ((low, 1.0), (high, 1.0), (high, 1e-3)):
        model = tiny_net(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= scale
        found.append(prune_now(GlobalMagnitude(sparsity=sparsity), toy_context(model)))
    loose, tight, scaled = found
    assert all((loose[name] | ~tight[name]).all() for name in loose)
    assert all(torch.equal(tight[name], scaled[name]) for name in tight)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.98, 0.999])
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_equal_weights_are_counted_exactly(sparsity: float, value: float) -> None:
    model = tiny_net()
    with torch.no_grad():
        model.conv2.weight.fill_(value)
    found = prune_now(GlobalMagnitude(sparsity=sparsity), toy_context(model))
    assert sum(int(mask.sum()) for mask in found.values()) == num_kept(356, sparsity)


@pytest.mark.parametrize("scope", ["layerwise", "global", "erk"])
def test_random_pruning_is_exact_and_fixed_by_its_seed(scope: str) -> None:
    def draw(seed: int) -> dict[str, torch.Tensor]:
        return prune_now(RandomPruning(sparsity=0.9, scope=scope), toy_context(tiny_net(), seed=seed))  # pyright: ignore

    first, again, other = draw(0), draw(0), draw(1)
    assert sum(int(mask.sum()) for mask in first.values()) == num_kept(356, 0.9)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_layers_left_dense_stand_outside_the_sparsity() -> None:
    found = prune_now(GlobalMagnitude(sparsity=0.5, dense=("first", "fc.*")), toy_context(tiny_net()))
    assert list(found) == ["conv2.weight"]
    assert int(found["conv2.weight"].sum()) == num_kept(288, 0.5)


@pytest.mark.parametrize("entry", ["fist", "conv9.*", "depthwise"])
def test_an_exclusion_that_matches_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=f"dense: '{entry}' matches no layer".replace("*", r"\*")):
        GlobalMagnitude(sparsity=0.5, dense=(entry,)).attach(toy_context(tiny_net()))
