"""The line between two trained networks: masks kept, and the networks left as they are."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from prunebench.benchmark.api.data import Split
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.runs.run import Recipe
from prunebench.benchmark.training.linear_path import interpolated, path_errors
from prunebench.datasets.parts.in_memory_split import ResidentSplit
from prunebench.datasets.registry import load
from torch import Tensor, nn

RECIPE = Recipe(epochs=1, batch_size=64)
CPU = torch.device("cpu")
SHAPE = (1, 8, 8)


def weighted(weight: float) -> nn.Sequential:
    """y = BN(w x)."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(cast(Tensor, model[0].weight), weight)
    return model.eval()


def networks() -> tuple[nn.Module, nn.Module, Split]:
    data = load("digits", limit=100)
    pair = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        pair.append(create_model("mobilenet-small", num_classes=10, input_shape=data.input_shape))
    return pair[0], pair[1], data.train


def test_a_network_is_connected_with_itself() -> None:
    model, _, split = networks()
    errors = path_errors(model, model.state_dict(), model.state_dict(), split, RECIPE, CPU, SHAPE, points=3)
    assert errors[0] == errors[1] == errors[2]
    assert 0 < errors[0] <= 1


def test_the_path_reverses_and_changes_neither_end() -> None:
    first, second, split = networks()
    before = [{name: value.clone() for name, value in each.state_dict().items()} for each in (first, second)]
    errors = path_errors(first, first.state_dict(), second.state_dict(), split, RECIPE, CPU, SHAPE, points=3)
    reverse = path_errors(second, second.state_dict(), first.state_dict(), split, RECIPE, CPU, SHAPE, points=3)
    assert errors == reverse[::-1]
    for model, state in zip((first, second), before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_shared_mask_holds_along_the_path_and_counters_are_not_averaged() -> None:
    first, second, _ = networks()
    states = [model.state_dict() for model in (first, second)]
    name = next(name for name, value in states[0].items() if value.dim() == 4)
    mask = torch.rand(states[0][name].shape, generator=torch.Generator().manual_seed(0)) < 0.3
    for state in states:
        state[name].mul_(mask)
    counter = next(name for name in states[0] if name.endswith("num_batches_tracked"))
    states[1][counter].fill_(7)
    state = interpolated(states[0], states[1], 0.3)
    assert not state[name][~mask].any()
    assert state[name][mask].all()
    assert int(state[counter]) == int(states[0][counter])


def test_states_of_different_networks_have_no_path() -> None:
    first, _, _ = networks()
    with pytest.raises(ValueError, match="different names"):
        interpolated(first.state_dict(), weighted(1).state_dict(), 0.5)


def test_a_resident_split_is_passed_in_file_order() -> None:
    """The pass must not draw random numbers: the same networks give the same errors."""
    _, _, split = networks()
    assert isinstance(split, ResidentSplit)
    first = [targets for _, targets in split.batches(64, device=CPU)]
    assert torch.equal(torch.cat(first), split.targets)
