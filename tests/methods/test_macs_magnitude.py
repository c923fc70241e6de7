"""Global MP with multiply-adds: a mask worked out by hand, both targets at once, refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.macs_magnitude import MacsMagnitude, macs_of
from prunebench.methods.magnitude import GlobalMagnitude
from torch import nn
from toys import kept_positions, prune_now, resume_equals_uninterrupted, tiny_net, toy_context

COSTLY, CHEAP = (0.9, 0.8, 0.3, 0.2), (0.5, 0.4, 0.35, 0.1)
TINY_MACS = {"conv1.weight": 36 * 64, "conv2.weight": 288 * 16, "fc.weight": 32}


def two_layers(costly: tuple[float, ...] = COSTLY, cheap: tuple[float, ...] = CHEAP) -> nn.Sequential:
    layers = [nn.Linear(4, 1, bias=False) for _ in range(2)]
    for layer, values in zip(layers, (costly, cheap), strict=True):
        layer.weight = nn.Parameter(torch.tensor([values]))
    return nn.Sequential(*layers)


def masks_of(**options: Any) -> dict[str, list[list[int]]]:
    """Half of eight weights: those of the first layer cost 10 multiply-adds each, of the second 1."""
    context = toy_context(two_layers(), macs={"0.weight": 40, "1.weight": 4})
    return kept_positions(prune_now(MacsMagnitude(sparsity=0.5, **options), context))


GLOBAL = {"0.weight": [[1, 1, 0, 0]], "1.weight": [[1, 1, 0, 0]]}
CHEAPER = {"0.weight": [[1, 0, 0, 0]], "1.weight": [[1, 1, 1, 0]]}


def test_power_moves_the_budget_to_cheap_layers() -> None:
    # 0.8 / 10^p falls below 0.35 at p = log10(0.8 / 0.35) = 0.359
    assert masks_of(macs_power=0.0) == masks_of(macs_power=0.35) == GLOBAL
    assert masks_of(macs_power=0.37) == CHEAPER


def test_bound_finds_the_power() -> None:
    # 22 of 44 are kept at power 0; 13 after the next swap
    assert masks_of(macs_sparsity=0.5) == GLOBAL
    assert masks_of(macs_sparsity=0.51) == masks_of(macs_sparsity=1 - 13 / 44) == CHEAPER
    assert masks_of(macs_sparsity=0.9) == {"0.weight": [[0, 0, 0, 0]], "1.weight": [[1, 1, 1, 1]]}
    with pytest.raises(ValueError, match=r"leaves 3\.5 multiply-adds .* weights 4\.0 is the least"):
        masks_of(macs_sparsity=0.92)


def test_power_zero_is_global_mp() -> None:
    expected = prune_now(GlobalMagnitude(sparsity=0.8), toy_context(tiny_net()))
    masks = prune_now(MacsMagnitude(sparsity=0.8, macs_power=0.0), toy_context(tiny_net(), macs=TINY_MACS))
    assert all(torch.equal(masks[name], expected[name]) for name in masks)


@settings(max_examples=25)
@given(st.floats(0.3, 0.95), st.floats(0.3, 0.97), st.integers(0, 50))
def test_both_targets_are_met_and_not_a_swap_is_wasted(sparsity: float, macs_sparsity: float, seed: int) -> None:
    context = toy_context(tiny_net(seed), macs=TINY_MACS)
    plain = prune_now(GlobalMagnitude(sparsity=sparsity), toy_context(tiny_net(seed)))
    costs = {name: TINY_MACS[name] / plain[name].numel() for name in plain}
    total = sum(TINY_MACS.values())
    bound = (1 - macs_sparsity) * total
    kept = num_kept(356, sparsity)
    left, least = kept, 0.0
    for name in sorted(costs, key=lambda name: costs[name]):
        taken = min(left, plain[name].numel())
        left, least = left - taken, least + taken * costs[name]
    pruner = MacsMagnitude(sparsity=sparsity, macs_sparsity=macs_sparsity)
    if least > bound * (1 + 1e-6):
        with pytest.raises(ValueError, match="is the least"):
            prune_now(pruner, context)
        return
    masks = prune_now(pruner, context)
    assert pruner.masks.num_kept == kept
    spent = macs_of(masks, costs)
    assert spent <= bound * (1 + 1e-6)
    if macs_of(plain, costs) <= bound:
        assert all(torch.equal(masks[name], plain[name]) for name in masks)
    else:
        assert bound - spent <= max(costs.values()) - min(costs.values())


def test_layers_left_dense_spend_their_part_of_the_bound() -> None:
    def spent(**options: Any) -> float:
        pruner = MacsMagnitude(sparsity=0.5, dense=("first",), **options)
        masks = prune_now(pruner, toy_context(tiny_net(), macs=TINY_MACS))
        costs = {name: TINY_MACS[name] / masks[name].numel() for name in masks}
        assert "conv1.weight" not in masks
        return TINY_MACS["conv1.weight"] + macs_of(masks, costs)

    bound = 0.635 * sum(TINY_MACS.values())
    assert spent(macs_sparsity=0.365) <= bound < spent(macs_power=0.0)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"macs_power": -1.0}, "macs_power"), ({"macs_sparsity": 1.0}, "macs_sparsity"),
     ({"scope": "erk"}, "argument 'scope'"), ({"macs_power": 1.0, "macs_sparsity": 0.5}, "macs_power"),
     ({"macs_sparsity": 0.5, "sparsity": 0.0}, "sparsity")],
)  # fmt: skip
def test_bad_options_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        MacsMagnitude(**{"sparsity": 0.5, **options})


def test_zero_weights_go_first() -> None:
    model = two_layers(cheap=(0.0, 0.4, 0.35, 0.1))
    masks = prune_now(MacsMagnitude(sparsity=1 / 8), toy_context(model, macs={"0.weight": 40, "1.weight": 4}))
    assert masks["1.weight"].tolist() == [[False, True, True, True]]
    assert math.isfinite(float(MacsMagnitude().score("0.weight", torch.zeros(3)).sum()))


def test_gradual_pruning_meets_both_targets_at_the_end_and_resumes() -> None:
    def make() -> MacsMagnitude:
        return MacsMagnitude(sparsity=0.8, macs_sparsity=0.85, start="init", schedule="cubic")

    resume_equals_uninterrupted(make, epochs=2, macs=TINY_MACS)
