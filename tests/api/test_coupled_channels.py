"""Coupled channels: the same as Torch-Pruning's dependency graph finds, and right where that is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch_pruning
from prunebench.benchmark.api.channel_walk import follow_channels
from prunebench.benchmark.api.coupled_channels import Group, coupled_channels
from prunebench.benchmark.models.registry import create_model
from torch import Tensor, nn

Places = set[tuple[str, bool, int]]
"""Module, whether it reads there, and row, column or entry."""

NETWORKS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "lenet-5": ((1, 28, 28), {}),
    "resnet-8": ((3, 16, 16), {"shortcut": "B"}),
    "resnet-50": ((3, 32, 32), {"width": 0.1}),
    "preresnet-20": ((3, 8, 8), {}),
    "wrn-16-8": ((3, 8, 8), {"width": 1}),
    "mobilenet-v1": ((3, 32, 32), {"width": 0.1}),
    "mobilenet-v2": ((3, 8, 8), {"width": 0.1}),
    "convnext-tiny": ((3, 32, 32), {"width": 0.0625}),
}


def groups_of(model: nn.Module, example: Tensor) -> list[Group]:
    return coupled_channels(model, follow_channels(model, example))


def ours(group: Group) -> list[Places]:
    """What goes with each channel."""
    places: list[Places] = [set() for _ in range(group.size)]
    for each in group.slices:
        for index, channel in zip(each.indices.tolist(), each.channels.tolist(), strict=True):
            places[channel].add((each.path, each.kind == "columns", index))
    return places


def theirs(graph: Any, model: nn.Module, root: str, channel: int) -> Places:
    paths = {module: path for path, module in model.named_modules()}
    layer = model.get_submodule(root)
    found = graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, [channel])
    return {
        (paths[item.dep.target.module], not graph.is_out_channel_pruning_fn(item.dep.handler), index)
        for item in found
        for index in item.idxs
        if item.dep.target.module in paths
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_pruning_finds_the_same(name: str) -> None:
    shape, options = NETWORKS[name]
    model, example = create_model(name, num_classes=4, input_shape=shape, **options).eval(), torch.zeros(2, *shape)
    graph = torch_pruning.DependencyGraph().build_dependency(model, example, verbose=False)
    groups = [group for group in groups_of(model, example) if not group.whole]
    assert groups
    for group in groups:
        for channel in (0, group.size - 1):
            assert ours(group)[channel] == theirs(graph, model, group.root, channel), group.root


def test_padded_channels_stay() -> None:
    """Torch-Pruning takes the padding of shortcut A for an operation channel by channel, and couples the wrong ones."""
    groups = groups_of(create_model("resnet-8", num_classes=4, input_shape=(3, 16, 16)), torch.zeros(2, 3, 16, 16))
    assert {group.root: group.whole for group in groups if group.whole} == {
        "conv1": "enter pad", "stage2.0.conv2": "enter add_1", "stage3.0.conv2": "enter add_2", "fc": "reach the output"
    }  # fmt: skip


class Tied(nn.Module):
    """A weight that is read beside its layer, a layer that is called twice, and channels added to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.read = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.added, self.last = nn.Linear(4, 4), nn.Linear(8, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.read(self.twice(self.twice(self.first(inputs))))
        hidden = hidden + self.read.weight.sum()
        added = self.added(hidden.relu())
        return self.last(torch.cat((added, added.relu() + added), dim=1))


def test_what_is_tied_stays() -> None:
    groups = groups_of(Tied(), torch.zeros(2, 3))
    assert {group.root: group.whole for group in groups} == {
        "first": "are of twice, which is used twice",
        "twice": "are of twice, which is used twice",
        "read": "are of read, which shares its weight",
        "added": "",
        "last": "reach the output",
    }
    (columns,) = groups[3].of_kind("columns")
    assert columns.channels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_transformers_lose_hidden_units_only() -> None:
    model = create_model("vit-tiny", num_classes=4, input_shape=(3, 8, 8), depth=2, width=0.125)
    free = [group for group in groups_of(model, torch.zeros(1, 3, 8, 8)) if not group.whole]
    assert [group.root for group in free] == [f"encoder.layers.encoder_layer_{index}.mlp.0" for index in (0, 1)]
