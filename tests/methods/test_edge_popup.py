"""Edge-popup: the forward mask, the gradient of every score, frozen weights, exact counts, the network at the end."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from prunebench.benchmark.api.masks import Masks, num_kept
from prunebench.benchmark.api.sites import find_sites
from prunebench.methods.edge_popup import EdgePopup, Supermask
from prunebench.methods.parts.straight_through import shadow
from torch import nn
from torch.nn.utils import parametrize
from toys import (
    assert_equal_masks,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_all,
    train_on_two_ranks,
    train_steps,
)


def test_forward_is_the_mask_and_the_gradient_reaches_all_scores() -> None:
    layer = nn.Linear(4, 1, bias=False)
    masks = Masks(find_sites(layer))
    masks.set({"weight": torch.tensor([[True, False, True, False]])})
    supermask = Supermask(masks, "weight", torch.tensor([[2.0, -1.0, -3.0, 0.5]]))
    weight = torch.tensor([[1.0, -2.0, 3.0, 4.0]])
    masked = supermask(weight)
    assert masked.tolist() == [[1.0, 0.0, 3.0, 0.0]]
    (masked * torch.tensor([[1.0, 2.0, 3.0, 4.0]])).sum().backward()
    # dL/dscore = upstream * weight * sign(score)
    assert supermask.scores.grad is not None
    assert supermask.scores.grad.tolist() == [[1.0, 4.0, -9.0, 16.0]]


def test_masks_hold_the_largest_scores_of_each_layer() -> None:
    pruner = EdgePopup(sparsity=0.5)
    masks = prune_now(pruner, toy_context(tiny_net()))
    for name, scores in pruner._magnitudes().items():
        assert int(masks[name].sum()) == num_kept(scores.numel(), 0.5)
        assert scores[masks[name]].min() >= scores[~masks[name]].max()


def test_only_scores_are_trained() -> None:
    model, pruner = tiny_net(), EdgePopup(sparsity=0.5)
    before_masks = prune_now(pruner, toy_context(model))
    frozen = {n: p.detach().clone() for n, p in model.named_parameters() if not n.endswith("scores")}
    before = {name: scores.detach().clone() for name, scores in pruner._scores().items()}
    train_steps(pruner, model, 8)
    assert all(torch.equal(model.get_parameter(name), value) for name, value in frozen.items())
    assert all(not torch.equal(scores, before[name]) for name, scores in pruner._scores().items())
    assert any(not torch.equal(mask, before_masks[name]) for name, mask in pruner.masks.items())
    assert pruner.masks.num_kept == 178


# 36 weights a filter of conv2, a quarter of them kept
@pytest.mark.parametrize(
    ("scale", "constant"),
    [("unscaled", math.sqrt(2 / 36)), ("scale_fan", math.sqrt(2 / 27)), ("density", math.sqrt(2 / 9))],
)
def test_weights_are_signed_constants(scale: Literal["unscaled", "scale_fan", "density"], constant: float) -> None:
    model, original = tiny_net(), tiny_net()
    pruner = EdgePopup(sparsity=0.75, scale=scale)
    prune_now(pruner, toy_context(model))
    weight = shadow(pruner.masks.sites["conv2.weight"])
    assert torch.allclose(weight.abs(), torch.tensor(constant))
    assert torch.equal(weight.sign(), original.conv2.weight.sign())
    other = EdgePopup(sparsity=0.75, weights="initial")
    prune_now(other, toy_context(tiny_net()))
    assert torch.equal(shadow(other.masks.sites["conv2.weight"]), original.conv2.weight)


def test_the_published_constant_is_the_default() -> None:
    assert EdgePopup(sparsity=0.9).scale == "unscaled"


def test_a_scale_without_effect_or_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="scale = 'density' needs weights: signed_constant"):
        EdgePopup(sparsity=0.5, weights="initial", scale="density")
    with pytest.raises(ValueError, match="scale_fan needs a sparsity > 0"):
        EdgePopup(sparsity=0.0, scale="scale_fan")


@pytest.mark.parametrize("scope", ["layerwise", "global", "erk"])
def test_detach_folds_to_a_plain_network_of_the_exact_size(scope: str) -> None:
    pruner = EdgePopup(sparsity=0.8, scope=scope, dense=("first",))  # type: ignore[arg-type]
    model, _ = train_all(pruner, toy_context(tiny_net()))
    assert sum(int((site.weight != 0).sum()) for site in find_sites(model)) == 36 + num_kept(320, 0.8)
    assert not any(parametrize.is_parametrized(module) for module in model.modules())
    assert model.state_dict().keys() == tiny_net().state_dict().keys()


def test_learns_the_toy_task_without_moving_a_weight() -> None:
    context = toy_context(tiny_net(), epochs=40)
    model, _ = train_all(EdgePopup(sparsity=0.5, scale="density"), context)
    inputs, targets = next(iter(context.samples(64, 64)))
    untrained = EdgePopup(sparsity=0.5, scale="density")
    other = tiny_net()
    prune_now(untrained, toy_context(other))
    losses = [float(context.loss(net(inputs), targets).detach()) for net in (model, other)]
    assert losses[0] < 0.5 * losses[1]


def test_resumes_and_agrees_between_ranks() -> None:
    resume_equals_uninterrupted(lambda: EdgePopup(sparsity=0.8), epochs=2)
    assert_equal_masks(train_on_two_ranks(lambda: EdgePopup(sparsity=0.8, scope="global"), epochs=1))
