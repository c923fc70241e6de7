"""Structured methods on coupled channels: scores and orders worked out by hand, and the smaller network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.shrink import shrink
from prunebench.methods.bases.channel_pruner import ChannelPruner
from prunebench.methods.filter_norm import FilterL1
from prunebench.methods.group_norm import GroupNorm
from prunebench.methods.isomorphic import Isomorphic
from prunebench.methods.network_slimming import NetworkSlimming
from prunebench.methods.parts.channel_scores import order_within_classes
from prunebench.methods.random_filters import RandomFilters
from prunebench.methods.taylor_filters import TaylorFilters
from torch import Tensor, nn
from toys import (
    assert_equal_masks,
    kept_positions,
    linear_context,
    make_optimizer,
    prune_now,
    tiny_data,
    tiny_net,
    toy_context,
    train_all,
    train_on_two_ranks,
    train_step,
)

ONE_SHOT: list[tuple[type[ChannelPruner], dict[str, Any]]] = [
    (GroupNorm, {}), (RandomFilters, {}), (FilterL1, {}),
    (TaylorFilters, {"score_samples": 32, "score_batch": 16}), (Isomorphic, {"score_samples": 32, "score_batch": 16}),
]  # fmt: skip


def scores_of(pruner: ChannelPruner, context: Any) -> list[Tensor]:
    pruner.attach(context)
    return pruner.channel_scores()


def test_group_norm_adds_the_squares_of_all_that_goes_with_a_channel() -> None:
    """W1 = [[1, -2], [3, 0.5]], W2 = [[2, -1]]: 1 + 4 + 4 and 9 + 0.25 + 1, over their mean."""
    (scores,) = scores_of(GroupNorm(), linear_context())
    assert scores.tolist() == pytest.approx([9 / 9.625, 10.25 / 9.625])
    assert kept_positions(prune_now(GroupNorm(sparsity=0.5), linear_context())) == {
        "first.weight": [[0, 0], [1, 1]], "second.weight": [[0, 1]]
    }  # fmt: skip


def test_group_norm_counts_scales_of_batch_norm_and_every_layer_of_a_stream() -> None:
    model = create_model("resnet-8", num_classes=4, input_shape=(1, 8, 8), shortcut="B")
    pruner = GroupNorm()
    scores = scores_of(pruner, toy_context(model))
    weights = {name: parameter.detach().double() for name, parameter in model.named_parameters()}
    expected = sum(weights[name].square().flatten(1).sum(dim=1) for name in ("conv1.weight", "stage1.0.conv2.weight"))
    expected = expected + weights["bn1.weight"].square() + weights["stage1.0.bn2.weight"].square()
    for name in ("stage1.0.conv1.weight", "stage2.0.conv1.weight", "stage2.0.shortcut.0.weight"):
        expected = expected + weights[name].square().sum(dim=(0, 2, 3))
    assert pruner._groups[0].root == "conv1"
    assert torch.allclose(scores[0], expected / expected.mean(), rtol=1e-5)


def test_taylor_squares_the_derivative_of_a_gate() -> None:
    """dW1 = [[-2, -4], [1, 2]]: (1 * -2 + -2 * -4)^2 = 36 and (3 * 1 + 0.5 * 2)^2 = 16."""
    (scores,) = scores_of(TaylorFilters(score_samples=2, score_batch=1), linear_context())
    assert scores.tolist() == [36, 16]
    masks = prune_now(TaylorFilters(sparsity=0.5, score_samples=1), linear_context())
    assert kept_positions(masks) == {"first.weight": [[1, 1], [0, 0]], "second.weight": [[1, 0]]}


def test_taylor_gates_are_behind_batch_norms() -> None:
    """The product of scale and shift with their gradients is the derivative of a factor behind the batch norm."""
    context = toy_context(tiny_net())
    with torch.no_grad():
        context.model.get_submodule("bn1").bias.uniform_(-1, 1)
    scores = scores_of(TaylorFilters(score_samples=32, score_batch=16), context)[0]
    model, gate = tiny_net(), torch.ones(4, requires_grad=True)
    model.load_state_dict(context.model.state_dict())
    model.bn1.register_forward_hook(lambda _module, _inputs, output: output * gate[:, None, None])
    squares = [
        torch.autograd.grad(context.loss(model(inputs), targets), gate)[0].square()
        for inputs, targets in context.samples(32, 16)
    ]
    assert len(squares) == 2
    assert torch.allclose(scores.float(), sum(squares) / 2, rtol=1e-4)  # type: ignore[operator]


def test_isomorphic_scores_and_structures() -> None:
    """|w dw| summed: 2 + 8 + 6 and 3 + 1 + 4, over their mean of 12."""
    (scores,) = scores_of(Isomorphic(score_samples=1, score_batch=1), linear_context())
    assert scores.tolist() == pytest.approx([16 / 12, 8 / 12])
    pruner = Isomorphic()
    model = create_model("resnet-8", num_classes=4, input_shape=(1, 8, 8), shortcut="B")
    pruner.attach(toy_context(model))
    structures = {group.root: pruner._structure(group) for group in pruner._groups}
    inner = [structures[f"stage{stage}.0.conv1"] for stage in (1, 2, 3)]
    assert inner == [(("Conv2d", "rows"), ("BatchNorm2d", "norm"), ("Conv2d", "columns"))] * 3
    assert len({structures[root] for root in structures}) == 4  # inner channels, and three streams that differ


def test_classes_lose_the_same_share() -> None:
    scores = [torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.5, 0.4]), torch.tensor([10.0, 20.0])]
    # of the six channels of a: 0.4, 1, 2, 3 after 1/6, 2/6, 3/6, 4/6; of the two of b: 10 after 1/2
    assert order_within_classes(scores, ["a", "a", "b"]) == [(1, 1), (0, 0), (0, 1), (2, 0), (0, 2)]


def test_slimming_pushes_scales_and_prunes_once() -> None:
    model, plain = tiny_net(), tiny_net()
    pruner, dense = NetworkSlimming(sparsity=0.5, penalty=0.25, prune_at=0.5), NetworkSlimming(penalty=1e-12)
    for network, method in ((model, pruner), (plain, dense)):
        with torch.no_grad():
            network.bn1.weight.copy_(torch.tensor([1.0, -1.0, 2.0, 0.0]))
        prune_now(method, toy_context(network))
        train_step(method, network, make_optimizer(method, lr=0.1), 0)
    # the subgradient of 0.25 |scale| times the rate of 0.1
    moved = (plain.bn1.weight - model.bn1.weight).tolist()
    assert moved == pytest.approx([0.025, -0.025, 0.025, 0.0], abs=1e-6)
    assert pruner.masks.num_kept == 356
    with torch.no_grad():
        model.bn1.weight.copy_(torch.tensor([0.1, -0.4, 0.3, 0.2]))
        model.bn2.weight.copy_(torch.tensor([0.5, -0.6, 0.7, 0.8, 0.9, 0.05, 0.15, 0.25]))
    assert pruner.event == 6  # of 12 steps
    optimizer = make_optimizer(pruner, lr=0.0)
    for step in range(1, 7):
        assert pruner.masks.num_kept == 356
        train_step(pruner, model, optimizer, step)
    # least |scale| first: 5 of bn2, 0 of bn1, 6 of bn2, 3 of bn1; 40, then 9 + 7 * 9, 31, 9 + 6 * 9 weights: 181 left
    assert pruner.masks["conv1.weight"].flatten(1).all(dim=1).tolist() == [False, True, True, False]
    assert pruner.masks["conv2.weight"].flatten(1).any(dim=1).tolist() == [True] * 5 + [False] * 2 + [True]
    assert pruner.masks.num_kept == 2 * 9 + 6 * 2 * 9 + 6 * 4


def test_slimming_takes_no_channels_without_a_scale() -> None:
    with pytest.raises(Exception, match="has no filter that can be removed"):
        NetworkSlimming().attach(linear_context())


def test_random_filters_are_as_many_as_filter_l1_keeps() -> None:
    def counts(pruner: ChannelPruner, seed: int) -> tuple[list[int], list[list[bool]]]:
        masks = prune_now(pruner, toy_context(tiny_net(), seed=seed))
        rows = [mask.flatten(1).any(dim=1).tolist() for name, mask in masks.items() if name != "fc.weight"]
        return [sum(row) for row in rows], rows

    drawn = [counts(RandomFilters(sparsity=0.5), seed) for seed in range(8)]
    assert {tuple(each[0]) for each in drawn} == {tuple(counts(FilterL1(sparsity=0.5), 0)[0])}
    assert len({str(each[1]) for each in drawn}) > 4


@pytest.mark.parametrize(("method", "options"), ONE_SHOT, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("network", ["resnet-8", "mobilenet-small"])
def test_what_is_left_is_a_smaller_network(method: type[ChannelPruner], options: dict[str, Any], network: str) -> None:
    """Shrinking leaves exactly the weights that the masks keep, and the same outputs."""
    torch.manual_seed(0)
    kinds: dict[str, Any] = {"shortcut": "B"} if network == "resnet-8" else {}
    model: nn.Module = create_model(network, num_classes=4, input_shape=(1, 8, 8), **kinds)
    pruner = method(sparsity=0.6, **options)
    prune_now(pruner, toy_context(model))
    pruner.detach()
    images, _ = tiny_data()
    done = shrink(model, dict(pruner.masks.items()), images)
    assert sum(site.weight.numel() for site in find_sites(done.network)) == pruner.masks.num_kept
    with torch.no_grad():
        assert torch.allclose(done.network(images), model.eval()(images), atol=1e-5)


def test_slimming_trains_and_resumes_alike_on_two_ranks() -> None:
    assert_equal_masks(train_on_two_ranks(lambda: NetworkSlimming(sparsity=0.5), epochs=2))
    pruner = NetworkSlimming(sparsity=0.5)
    train_all(pruner, toy_context(tiny_net()))
    assert abs(pruner.masks.num_kept / 356 - 0.5) < 0.12
