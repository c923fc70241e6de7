"""Smaller networks compute what the masked ones do: every family, and the cases worked out by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.count_macs import count_macs
from prunebench.benchmark.models.registry import MODELS, create_model
from prunebench.benchmark.shrink import network, shrink, shrunk
from torch import Tensor, nn

FAMILIES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "lenet-300-100": ((1, 28, 28), {"width": 0.2}),
    "lenet-5": ((1, 28, 28), {}),
    "convnet-small": ((1, 8, 8), {}),
    "resnet-20": ((3, 16, 16), {}),
    "resnet-8": ((3, 16, 16), {"shortcut": "B"}),
    "resnet-18": ((3, 8, 8), {"width": 0.1}),
    "resnet-50": ((3, 32, 32), {"width": 0.1}),
    "resnet-50-cifar": ((3, 8, 8), {"width": 0.1}),
    "preresnet-20": ((3, 8, 8), {}),
    "wrn-16-8": ((3, 8, 8), {"width": 1}),
    "vgg-19-bn": ((3, 32, 32), {"width": 0.1}),
    "mobilenet-v1": ((3, 32, 32), {"width": 0.25}),
    "mobilenet-v2": ((3, 8, 8), {"width": 0.5}),
    "mobilenet-small": ((3, 8, 8), {}),
    "vit-tiny": ((3, 8, 8), {"width": 0.125, "depth": 2}),
    "swin-t": ((3, 32, 32), {"width": 0.1}),
    "convnext-tiny": ((3, 32, 32), {"width": 0.0625}),
    "fastgrnn": ((4, 9), {"rank_u": 20}),
    "byte-transformer": ((6,), {"width": 24, "depth": 2}),
}


def test_every_family_is_here() -> None:
    files = {MODELS[name].split(":")[0] for name in FAMILIES}
    assert files == {place.split(":")[0] for place in MODELS.values()}


def drawn_inputs(name: str, number: int) -> Tensor:
    """In float64; of a text five symbols, as many as `trained` has classes."""
    shape = FAMILIES[name][0]
    if name == "byte-transformer":
        return torch.randint(5, (number, *shape)).double()
    return torch.randn(number, *shape, dtype=torch.float64)


def trained(name: str) -> nn.Module:
    """The network in float64 with batch norms as after training: no statistic is zero or one."""
    shape, options = FAMILIES[name]
    torch.manual_seed(0)
    model = create_model(name, num_classes=5, input_shape=shape, **options).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


def filter_masks(model: nn.Module, share: float) -> dict[str, Tensor]:
    """Whole rows of every layer but the last, drawn at random; ranks of a low-rank cell instead."""
    generator = torch.Generator().manual_seed(1)
    sites = find_sites(model)
    masks = {}
    for site in sites[:-1]:
        axis = 1 if site.attribute in ("W1", "U1") else 0
        kept = torch.rand(site.weight.shape[axis], generator=generator) > share
        shape = [-1 if place == axis else 1 for place in range(site.weight.dim())]
        masks[site.name] = kept.view(shape).expand_as(site.weight)
    return masks


def assert_equal_outputs(small: nn.Module, model: nn.Module, inputs: Tensor) -> Tensor:
    """Within the rounding of float64; returns the outputs."""
    with torch.no_grad():
        expected = model(inputs)
        assert torch.allclose(small(inputs), expected, rtol=0, atol=1e-10 * max(1.0, float(expected.abs().max())))
    return expected


def masked(model: nn.Module, masks: dict[str, Tensor]) -> nn.Module:
    model = copy.deepcopy(model)
    with torch.no_grad():
        for site in find_sites(model):
            if site.name in masks:
                site.weight.mul_(masks[site.name])
    return model


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", FAMILIES)
def test_outputs_stay_and_the_network_is_smaller(name: str) -> None:
    shape, model = FAMILIES[name][0], trained(name)
    masks = filter_masks(model, 0.4)
    before = copy.deepcopy(model.state_dict())
    small = shrunk(model, masks, torch.zeros(2, *shape, dtype=torch.float64))
    assert assert_equal_outputs(small, masked(model, masks), drawn_inputs(name, 3)).std() > 1e-3
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert num_parameters(small) < 0.9 * num_parameters(model)
    assert sum(count_macs(small, shape).values()) < 0.96 * sum(count_macs(model, shape).values())
    # as small as its sizes say: nothing is left to remove
    assert not shrink(small, {}, torch.zeros(2, *shape, dtype=torch.float64)).removed


@pytest.mark.parametrize("name", ["convnet-small", "resnet-20", "preresnet-20", "mobilenet-small"])
def test_single_weights_that_are_zero_remove_only_what_is_dead(name: str) -> None:
    """At 97 % some filters have no weight left and others are read by nobody."""
    shape, model = FAMILIES[name][0], trained(name)
    generator = torch.Generator().manual_seed(2)
    masks = {site.name: torch.rand(site.weight.shape, generator=generator) > 0.97 for site in find_sites(model)}
    done = shrink(model, masks, torch.zeros(1, *shape, dtype=torch.float64))
    assert_equal_outputs(done.network, masked(model, masks), torch.randn(3, *shape, dtype=torch.float64))
    assert sum(done.removed.values()) > 0


class Bordered(nn.Module):
    """Two layers whose second pads: what the first emits as a constant ends at the border."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1)
        self.second = nn.Conv2d(4, 1, 3, padding=padding, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(F.relu(self.first(images)))


def bordered(padding: int) -> Bordered:
    """Filter 0 lives; the others have no weight and emit relu(2), relu(5) and relu(-1)."""
    model: Any = Bordered(padding).double()
    with torch.no_grad():
        model.first.weight.copy_(torch.tensor([1.0, 0, 0, 0]).view(4, 1, 1, 1))
        model.first.bias.copy_(torch.tensor([0.0, 2, 5, -1]))
        model.second.weight.copy_(torch.arange(36.0).view(1, 4, 3, 3))
    return model


def test_constants_move_into_the_bias_where_nothing_is_padded() -> None:
    small: Any = shrunk(bordered(0), {}, torch.zeros(1, 1, 5, 5, dtype=torch.float64))
    assert small.first.weight.shape == (1, 1, 1, 1)
    # 2 * (9 + ... + 17) + 5 * (18 + ... + 26)
    assert small.second.bias.tolist() == [2 * 117 + 5 * 198]
    assert small.second.weight.flatten().tolist() == list(range(9))


def test_one_channel_carries_the_constants_that_a_border_ends() -> None:
    done = shrink(bordered(1), {}, torch.zeros(1, 1, 5, 5, dtype=torch.float64))
    small: Any = done.network
    assert small.first.bias.tolist() == [0, 5]
    assert small.second.bias is None
    # the channel of 5 takes over what that of 2 added: w + 2/5 v
    expected = [18 + place + 2 / 5 * (9 + place) for place in range(9)]
    assert small.second.weight[0, 1].flatten().tolist() == pytest.approx(expected, abs=1e-12)
    assert done.removed == {"first": 2}
    assert done.left == {"first": (1, "a constant at borders")}
    assert_equal_outputs(small, bordered(1), torch.randn(2, 1, 5, 5, dtype=torch.float64))


class Joined(nn.Module):
    """Channels that are concatenated, flattened, and a residual sum of which one branch is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 3, 1), nn.Conv2d(1, 2, 1)
        self.inner = nn.Conv2d(5, 5, 1, bias=False)
        self.last = nn.Linear(5 * 4, 2)

    def forward(self, images: Tensor) -> Tensor:
        joined = torch.cat((self.left(images), self.right(images)), dim=1).relu()
        return self.last((joined + self.inner(joined)).flatten(1))


def test_concatenations_sums_and_flattening() -> None:
    torch.manual_seed(0)
    model: Any = Joined().double()
    with torch.no_grad():
        model.left.weight[1] = 0
        model.left.bias[1] = 0
        model.right.weight[0] = 0  # its bias is still read by `inner`, and by `last` through the sum
        model.inner.weight[1] = 0
    images = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    done = shrink(model, {}, images)
    assert_equal_outputs(done.network, model, images)
    # only channel 1 is zero in both parts of the sum; channel 3 is a constant in one of them only
    assert num_parameters(done.network) == num_parameters(model) - (1 + 1) - (5 + 5 - 1) - 2 * 4


class Rows(nn.Module):
    """A linear layer along the rows of the planes: its inputs are pixels, not channels."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 1, bias=False)
        self.rows = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.rows(self.convolution(images)).flatten(1)


def test_channels_of_unknown_use_stay_and_are_named() -> None:
    model = Rows()
    with torch.no_grad():
        model.convolution.weight[2] = 0
    done = shrink(model, {}, torch.zeros(1, 1, 8, 8))
    assert not done.removed
    assert done.left == {"convolution": (1, "enter rows")}
    assert num_parameters(done.network) == num_parameters(model)


def test_a_layer_without_weights_keeps_one_channel() -> None:
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight.zero_()
    done = shrink(model, {}, torch.zeros(1, 3))
    assert done.network[0].weight.shape == (1, 3)
    assert done.left == {"0": (1, "a layer keeps one channel")}


class Transformer(nn.Module):
    """An encoder block on tokens: hidden units of the two linear layers go, attention stays."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.grow, self.back = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.norm1(tokens)
        tokens = tokens + self.attention(hidden, hidden, hidden, need_weights=False)[0]
        return tokens + self.back(F.gelu(self.grow(self.norm2(tokens))))


def test_hidden_units_of_a_transformer_go() -> None:
    torch.manual_seed(0)
    model = Transformer().double().eval()
    kept = torch.arange(16) % 4 == 0
    tokens = torch.randn(2, 5, 8, dtype=torch.float64)
    masks = {"grow.weight": kept[:, None].expand(16, 8)}
    small: Any = shrunk(model, masks, tokens)
    assert small.grow.weight.shape == (4, 8)
    assert_equal_outputs(small, masked(model, masks), tokens)


def test_a_network_that_would_compute_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "remove_dead_ranks", lambda small: nn.init.zeros_(small[0].bias) and {})
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1)
    with pytest.raises(UserError, match="outputs of up to 2 differ by 1 after channels were removed") as error:
        shrink(model, {}, torch.zeros(1, 1))
    assert error.value.exit_code == 1
