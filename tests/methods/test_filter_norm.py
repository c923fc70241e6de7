"""Filter pruning: which channels may be removed, counts, leftovers without effect, and the smaller network."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.coupled_channels import Group, Slice
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.training.measure import check_masks
from prunebench.methods.filter_norm import FilterL1, FilterL2
from prunebench.methods.parts.channel_groups import count_kept, keep_channels, removable_groups
from prunebench.methods.parts.channel_scores import removal_order, slice_scores
from torch import Tensor, nn
from toys import (
    assert_equal_masks,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_all,
    train_on_two_ranks,
)


def groups_of(name: str, input_shape: tuple[int, ...], **options: Any) -> dict[str, Group]:
    """Those that FilterL1 takes."""
    model = create_model(name, num_classes=10, input_shape=input_shape, **options)
    groups = removable_groups(toy_context(model, input_shape=input_shape))
    return {group.root: group for group in groups if FilterL1().takes(group, model)}


def paths(group: Group, kind: Any) -> list[str]:
    return [each.path for each in group.of_kind(kind)]


def test_residual_streams_stay_and_inner_channels_go() -> None:
    groups = groups_of("resnet-20", (3, 32, 32))
    assert list(groups) == [f"stage{s}.{b}.conv1" for s in (1, 2, 3) for b in (0, 1, 2)]
    assert paths(groups["stage2.0.conv1"], "columns") == ["stage2.0.conv2"]
    assert paths(groups["stage2.0.conv1"], "norm") == ["stage2.0.bn1"]


def test_residual_streams_are_groups_of_several_layers() -> None:
    model = create_model("resnet-8", num_classes=10, input_shape=(3, 32, 32), shortcut="B")
    streams = [group for group in removable_groups(toy_context(model, input_shape=(3, 32, 32)))
               if not FilterL1().takes(group, model)]  # fmt: skip
    assert [sorted(paths(group, "rows")) for group in streams] == [
        ["conv1", "stage1.0.conv2"], ["stage2.0.conv2", "stage2.0.shortcut.0"],
        ["stage3.0.conv2", "stage3.0.shortcut.0"],
    ]  # fmt: skip
    assert sorted(paths(streams[0], "columns")) == ["stage1.0.conv1", "stage2.0.conv1", "stage2.0.shortcut.0"]


def test_depthwise_convolutions_go_with_the_layer_before() -> None:
    group = groups_of("mobilenet-v1", (3, 32, 32))["features.6"]
    assert paths(group, "rows") + paths(group, "depthwise") == ["features.6", "features.9"]
    assert paths(group, "norm") == ["features.7", "features.10"]
    assert paths(group, "columns") == ["features.12"]


def test_flattened_planes_take_several_columns_a_channel() -> None:
    groups = groups_of("lenet-5", (1, 28, 28))
    (columns,) = groups["conv2"].of_kind("columns")
    assert columns.path == "fc1"
    assert columns.indices[columns.channels == 3].tolist() == list(range(48, 64))
    assert list(groups) == ["conv1", "conv2", "fc1"]


class Odd(nn.Module):
    """Channels that must stay: concatenated, of a layer called twice, reshaped, or read by a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1)
        self.twice = nn.Conv2d(4, 4, 1)
        self.joined = nn.Conv2d(8, 4, 1)
        self.grouped = nn.Conv2d(4, 4, 1, groups=2)
        self.free = nn.Conv2d(4, 6, 1)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.twice(self.twice(self.first(images)))
        hidden = self.grouped(self.joined(torch.cat((hidden, hidden), dim=1)))
        return self.last(self.free(hidden.view(1, 4, 8, 8))).mean(dim=(2, 3))


class Rows(nn.Module):
    """A linear layer along the rows of the planes: its inputs are pixels, not channels, though four fit into eight."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 1)
        self.rows = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.rows(self.convolution(images)).flatten(1)


def test_channels_of_unknown_use_stay() -> None:
    assert [group.root for group in removable_groups(toy_context(Odd()))] == ["free"]
    assert removable_groups(toy_context(Rows())) == []


class Grouped(nn.Module):
    """Filters in two groups of three, between a layer that the groups read and one that reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(1, 4, 1, bias=False)
        self.grouped = nn.Conv2d(4, 6, 1, groups=2, bias=False)
        self.after = nn.Conv2d(6, 3, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.grouped(self.before(images)).relu()).mean(dim=(2, 3))


def grouped_network() -> Grouped:
    """Norms of the filters 6, 2, 4 in the first group and 10, 12, 14 in the second."""
    model = Grouped()
    with torch.no_grad():
        rows = torch.tensor([6.0, 2.0, 4.0, 10.0, 12.0, 14.0])
        model.grouped.weight.copy_((rows / 2)[:, None, None, None].expand(6, 2, 1, 1))
    return model


def test_groups_of_a_convolution_lose_equally_many_filters() -> None:
    scores, slices = slice_scores(torch.tensor([6.0, 2.0, 4.0, 10.0, 12.0, 14.0]), 2)
    # the least of each group, then the next: (2 + 10) / 2, (4 + 12) / 2, (6 + 14) / 2
    assert scores.tolist() == [6.0, 8.0, 10.0]
    assert slices == [(1, 3), (2, 4), (0, 5)]
    # 4 + 12 + 18 weights; a slice has 4 of its own and 6 that read it: 34, 24, 14 are left
    masks = prune_now(FilterL1(sparsity=0.3), toy_context(model := grouped_network()))
    assert masks["grouped.weight"].flatten(1).all(dim=1).tolist() == [True, False, True, False, True, True]
    assert masks["after.weight"].flatten(1).tolist() == [[True, False, True, False, True, True]] * 3
    assert masks["before.weight"].all()
    # what is left is a grouped convolution again, with two filters a group
    small = copy.deepcopy(model)
    kept = masks["grouped.weight"].flatten(1).all(dim=1)
    small.grouped = nn.Conv2d(4, 4, 1, groups=2, bias=False)
    small.grouped.weight = nn.Parameter(model.grouped.weight[kept])
    small.after.weight = nn.Parameter(model.after.weight[:, kept])
    images = torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model(images), small(images), atol=1e-6)


def test_the_last_filter_of_each_group_stays() -> None:
    with pytest.raises(ValueError, match="filters can remove at most 20 of 34 weights"):
        prune_now(FilterL1(sparsity=0.7), toy_context(grouped_network()))


def test_norms_rank_filters_as_worked_out_by_hand() -> None:
    weight = torch.tensor([[3.0, 0.0], [2.0, 2.0], [0.5, 0.5]])[:, :, None, None]
    # L1: 3, 4, 1 over 2 weights; L2: 3, 2.83, 0.71 over the root of 2
    assert FilterL1().filter_scores(weight).tolist() == [1.5, 2.0, 0.5]
    assert FilterL2().filter_scores(weight).argsort(descending=True).tolist() == [0, 1, 2]
    assert removal_order([FilterL1().filter_scores(weight)], "layerwise") == [(0, 2), (0, 0)]
    assert removal_order([FilterL2().filter_scores(weight)], "layerwise") == [(0, 2), (0, 1)]


def test_order_by_fraction_or_by_score() -> None:
    scores = [torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.5, 0.4])]
    assert removal_order(scores, "layerwise") == [(0, 0), (0, 1), (1, 1), (0, 2)]  # 1/4, 2/4, 1/2, 3/4
    assert removal_order(scores, "global") == [(1, 1), (0, 0), (0, 1), (0, 2)]


def test_nearest_count_is_kept() -> None:
    channels = torch.arange(4)
    groups = [Group("a", 4, (Slice("a", "rows", channels, channels), Slice("b", "columns", channels, channels)))]
    shapes = {"a.weight": torch.Size([4, 1, 3, 3]), "b.weight": torch.Size([2, 4])}
    order = [(0, 0), (0, 1), (0, 2)]
    # a channel is 9 + 2 weights: 44, 33, 22, 11 are left
    for target, left in ((44, 4), (39, 4), (38, 3), (28, 3), (27, 2), (11, 1)):
        (kept,) = keep_channels(groups, shapes, order, target)
        assert int(kept.sum()) == left
        assert count_kept(groups, shapes, [kept]) == 11 * left
    with pytest.raises(ValueError, match="at most 33 of 44 weights, not 34"):
        keep_channels(groups, shapes, order, 10)


@pytest.mark.parametrize("method", [FilterL1, FilterL2])
@pytest.mark.parametrize("scope", ["layerwise", "global"])
def test_masks_are_whole_filters_with_their_readers(method: type[FilterL1], scope: str) -> None:
    masks = prune_now(method(sparsity=0.5, scope=scope), toy_context(tiny_net()))  # type: ignore[arg-type]
    kept1, kept2 = (masks[name].flatten(1).any(dim=1) for name in ("conv1.weight", "conv2.weight"))
    assert torch.equal(masks["conv1.weight"], kept1[:, None, None, None].expand(4, 1, 3, 3))
    assert torch.equal(masks["conv2.weight"], (kept2[:, None] & kept1)[:, :, None, None].expand(8, 4, 3, 3))
    assert torch.equal(masks["fc.weight"], kept2.expand(4, 8))
    # one filter of conv2 is at most 9 * 4 + 4 weights, so the nearest count is within half of that or of conv1's
    assert abs(sum(int(mask.sum()) for mask in masks.values()) - num_kept(356, 0.5)) <= (9 + 72) / 2


def physically_smaller(model: nn.Module, masks: dict[str, Tensor]) -> nn.Module:
    """The tiny net without the removed channels."""
    small = copy.deepcopy(model)
    kept1, kept2 = (masks[name].flatten(1).any(dim=1) for name in ("conv1.weight", "conv2.weight"))
    conv1, conv2, fc = (small.get_submodule(name) for name in ("conv1", "conv2", "fc"))
    conv1.weight = nn.Parameter(conv1.weight[kept1])  # type: ignore[index]
    conv2.weight = nn.Parameter(conv2.weight[kept2][:, kept1])  # type: ignore[index]
    fc.weight = nn.Parameter(fc.weight[:, kept2])  # type: ignore[index]
    for norm, kept in ((small.get_submodule("bn1"), kept1), (small.get_submodule("bn2"), kept2)):
        for name in ("weight", "bias"):
            setattr(norm, name, nn.Parameter(getattr(norm, name)[kept]))
        for name in ("running_mean", "running_var"):
            setattr(norm, name, getattr(norm, name)[kept])
    return small


def test_masked_network_computes_what_the_smaller_one_does() -> None:
    pruner = FilterL1(sparsity=0.6)
    model, _ = train_all(pruner, toy_context(tiny_net()))
    masks = dict(pruner.masks.items())
    small = physically_smaller(model, masks)
    images = torch.randn(5, 1, 8, 8)
    for mode in (True, False):
        assert torch.allclose(model.train(mode)(images), small.train(mode)(images), atol=1e-5)
    assert sum(site.weight.numel() for site in find_sites(small)) == pruner.masks.num_kept
    # what is left of removed filters elsewhere is zero at the end
    removed = ~masks["conv1.weight"].flatten(1).any(dim=1)
    assert removed.any()
    assert not model.get_parameter("bn1.weight")[removed].any()
    assert not model.get_parameter("bn1.bias")[removed].any()
    assert model.get_parameter("bn1.weight")[~removed].all()


def test_layers_named_dense_keep_their_filters() -> None:
    masks = prune_now(FilterL1(sparsity=0.3, dense=("conv1.*",)), toy_context(tiny_net()))
    assert masks["conv1.weight"].all()
    assert not masks["conv2.weight"].all()


def test_too_much_and_nothing_to_remove_are_refused() -> None:
    with pytest.raises(ValueError, match="filters can remove at most"):
        prune_now(FilterL1(sparsity=0.97), toy_context(tiny_net()))
    with pytest.raises(UserError, match="Linear has no filter that can be removed, in none of 'weight'"):
        FilterL1().attach(toy_context(nn.Linear(3, 2), input_shape=(3,)))
    model = create_model("fastgrnn", num_classes=2, input_shape=(16, 9))
    with pytest.raises(UserError, match="FastGrnn has no filter that can be removed"):
        FilterL1().attach(toy_context(model, input_shape=(16, 9)))


@pytest.mark.parametrize("name", ["resnet-20", "mobilenet-small"])
def test_real_networks_come_near_the_target_and_stay_zero(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=4, input_shape=(1, 8, 8))
    pruner = FilterL2(sparsity=0.5)
    prune_now(pruner, toy_context(model))
    check_masks(pruner, at_end=False)
    assert abs(pruner.masks.num_kept / pruner.masks.num_total - 0.5) < 0.01
    # garbage in the removed input channels changes nothing: no filter writes what they read
    model.eval()
    images = torch.randn(2, 1, 8, 8)
    before = model(images)
    pruner.detach()
    assert torch.allclose(model(images), before, atol=1e-6)


def test_leftovers_keep_the_sign_of_zero() -> None:
    """The bits of stored weights, of which results keep a digest."""
    model = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 4)).requires_grad_(True)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [2.0], [3.0]]))
        model[0].bias.copy_(torch.tensor([-1.0, 1.0, -1.0]))
    pruner = FilterL2(sparsity=0.6)
    prune_now(pruner, toy_context(model, input_shape=(1,)))
    pruner.detach()
    assert model[0].bias.tolist() == [0, 0, -1]
    assert model[0].bias.signbit().tolist() == [True, False, True]


def test_resumes_and_agrees_between_ranks() -> None:
    resume_equals_uninterrupted(lambda: FilterL1(sparsity=0.5), epochs=2)
    assert_equal_masks(train_on_two_ranks(lambda: FilterL2(sparsity=0.5), epochs=1))
