"""Multiply-adds: layers worked by hand, torch's own counter, and the published percentages of pruned FLOPs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.count_macs import count_macs, sparse_macs
from prunebench.benchmark.models.registry import create_model
from prunebench.methods.parts.allocation import erk_densities
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

FIRST, LAST = "conv1.weight", "fc.weight"


def on_meta(name: str, input_shape: tuple[int, ...], num_classes: int, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, num_classes=num_classes, input_shape=input_shape, **options)


@pytest.fixture(scope="module")
def resnet50() -> nn.Module:
    return on_meta("resnet-50", (3, 224, 224), 1000)


@pytest.fixture(scope="module")
def macs(resnet50: nn.Module) -> dict[str, int]:
    return count_macs(resnet50, (3, 224, 224))


@pytest.fixture(scope="module")
def shapes(resnet50: nn.Module) -> dict[str, torch.Size]:
    return {site.name: site.weight.shape for site in find_sites(resnet50)}


def share_pruned(macs: Mapping[str, int], densities: Mapping[str, float]) -> float:
    """As results have it."""
    return 1 - sparse_macs(macs, densities) / sum(macs.values())


def percent_pruned(macs: Mapping[str, int], densities: Mapping[str, float]) -> float:
    return 100 * share_pruned(macs, densities)


# Layers whose multiply-adds are written out: output positions x weights.


@pytest.mark.parametrize(
    ("layer", "input_shape", "expected"),
    [
        (nn.Conv2d(3, 8, 3), (3, 10, 12), 8 * 10 * 8 * 3 * 9),
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), (3, 11, 11), 6 * 6 * 8 * 3 * 9),
        (nn.Conv2d(4, 8, 3, dilation=2), (4, 9, 9), 5 * 5 * 8 * 4 * 9),
        (nn.Conv2d(8, 8, 3, groups=8, padding=1), (8, 6, 6), 6 * 6 * 8 * 9),
        (nn.Conv2d(8, 12, (1, 5), groups=4), (8, 6, 6), 6 * 2 * 12 * 2 * 5),
        (nn.Conv2d(3, 4, 3, padding="same", bias=False), (3, 7, 7), 7 * 7 * 4 * 3 * 9),
        (nn.Conv1d(9, 16, 5, stride=3), (9, 128), 42 * 16 * 9 * 5),
        (nn.Conv3d(2, 4, (1, 2, 3)), (2, 5, 5, 5), 5 * 4 * 3 * 4 * 2 * 6),
        (nn.Linear(20, 30), (20,), 600),
        (nn.Linear(20, 30), (7, 20), 7 * 600),
        (nn.Linear(20, 30), (4, 7, 20), 28 * 600),
    ],
    ids=str,
)
def test_layers_by_hand(layer: nn.Module, input_shape: tuple[int, ...], expected: int) -> None:
    assert count_macs(layer, input_shape) == {"weight": expected}


class Reused(nn.Module):
    """One layer called three times, and one whose tensor belongs to another."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.last = nn.Linear(6, 2)

    def forward(self, features: Tensor) -> Tensor:
        for _ in range(3):
            features = self.first(features)
        return self.last(self.second(features))


def test_reused_layers_and_shared_tensors_add_up() -> None:
    assert count_macs(Reused(), (6,)) == {"first.weight": 4 * 36, "last.weight": 12}


class Bilinear(nn.Module):
    """A module of another kind, with the two attributes that the counter asks for."""

    prunable_weights: tuple[str, ...] = ("left", "right")

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.ones(5, 4))
        self.right = nn.Parameter(torch.ones(4, 3))

    def forward(self, sequences: Tensor) -> Tensor:
        return sequences @ self.left @ self.right

    def macs(self, input_shape: torch.Size) -> dict[str, int]:
        batch, steps, _ = input_shape
        return {"left": batch * steps * 20, "right": batch * steps * 12}


def test_modules_of_another_kind_count_for_themselves() -> None:
    model = nn.Sequential(Bilinear(), nn.Linear(3, 2))
    assert count_macs(model, (7, 5)) == {"0.left": 140, "0.right": 84, "1.weight": 42}


def test_a_module_of_another_kind_that_cannot_count_is_refused() -> None:
    class Uncounted(nn.Linear):
        pass

    class Silent(nn.Module):
        prunable_weights = ("left",)

        def __init__(self) -> None:
            super().__init__()
            self.left = nn.Parameter(torch.ones(5, 4))

    assert count_macs(Uncounted(3, 2), (3,)) == {"weight": 6}
    with pytest.raises(UserError, match=r"Silent names prunable_weights \('left',\) but has no macs"):
        count_macs(Silent(), (5,))


def test_a_layer_that_forward_passes_by_is_refused() -> None:
    """A weight that is used without calling its layer; a count of zero would be wrong."""

    class Passing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(8, 8)

        def forward(self, features: Tensor) -> Tensor:
            return features @ self.inner.weight

    with pytest.raises(UserError, match=r"never called the layer of 'inner.weight'"):
        count_macs(Passing(), (4, 8))


@pytest.mark.parametrize(
    ("layer", "input_shape", "expected"),
    [
        (nn.ConvTranspose1d(3, 5, 4, stride=2), (3, 9), 9 * 3 * 5 * 4),
        (nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, groups=2), (6, 5, 7), 35 * 6 * 2 * 9),
        (nn.ConvTranspose3d(2, 2, 2), (2, 3, 3, 3), 27 * 2 * 2 * 8),
    ],
    ids=str,
)
def test_transposed_convolutions_count_input_positions(
    layer: nn.Module, input_shape: tuple[int, ...], expected: int
) -> None:
    assert count_macs(layer, input_shape) == {"weight": expected}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(1, *input_shape))
    assert counter.get_total_flops() == 2 * expected


class Calls(nn.Module):
    """A layer that is called as the function says."""

    def __init__(self, layer: nn.Module, call: Callable[[nn.Module, Tensor], object]) -> None:
        super().__init__()
        self.layer = layer
        self.call = call

    def forward(self, features: Tensor) -> object:
        return self.call(self.layer, features)


def test_a_bilinear_layer_uses_each_weight_once_a_pair() -> None:
    model = Calls(nn.Bilinear(6, 6, 4), lambda layer, features: layer(features, features))
    assert count_macs(model, (5, 6)) == {"layer.weight": 5 * 4 * 6 * 6}


SEQUENCE = (7, 3)
"""Time steps and features; a batch dimension of one is added in front."""


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent_layers_count_time_steps_layers_and_directions(
    kind: type[nn.RNNBase], gates: int, device: str
) -> None:
    with torch.device(device):
        first = kind(3, 5, num_layers=2, bidirectional=True, batch_first=True)
        time_first = Calls(kind(3, 5), lambda layer, features: layer(features.transpose(0, 1)))
        unbatched = Calls(kind(3, 5), lambda layer, features: layer(input=features[0]))
    matrices = {"ih_l0": 3 * 5, "hh_l0": 5 * 5, "ih_l1": 10 * 5, "hh_l1": 5 * 5}
    assert count_macs(first, SEQUENCE) == {
        f"weight_{name}{direction}": 7 * gates * size
        for layer in ("l0", "l1")
        for direction in ("", "_reverse")
        for name, size in matrices.items()
        if name.endswith(layer)
    }
    expected = {"layer.weight_ih_l0": 7 * gates * 15, "layer.weight_hh_l0": 7 * gates * 25}
    assert count_macs(time_first, SEQUENCE) == count_macs(unbatched, SEQUENCE) == expected


def test_a_projected_lstm_and_a_packed_sequence() -> None:
    projected = nn.LSTM(3, 5, proj_size=2, batch_first=True)
    assert count_macs(projected, SEQUENCE) == {
        "weight_ih_l0": 7 * 20 * 3, "weight_hh_l0": 7 * 20 * 2, "weight_hr_l0": 7 * 2 * 5,
    }  # fmt: skip
    packed = Calls(
        nn.GRU(3, 5), lambda layer, features: layer(nn.utils.rnn.pack_padded_sequence(features.transpose(0, 1), [4]))
    )
    assert count_macs(packed, SEQUENCE) == {"layer.weight_ih_l0": 4 * 45, "layer.weight_hh_l0": 4 * 75}


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNNCell, 1), (nn.GRUCell, 3), (nn.LSTMCell, 4)])
def test_a_cell_counts_each_call(kind: type[nn.RNNCellBase], gates: int) -> None:
    model = Calls(kind(3, 5), lambda layer, features: [layer(step) for step in features.unbind(1)])
    assert count_macs(model, SEQUENCE) == {
        "layer.weight_ih": 7 * gates * 15, "layer.weight_hh": 7 * gates * 25,
    }  # fmt: skip


@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_counts_tokens_of_query_key_and_value(need_weights: bool) -> None:
    """The projection of the output is used without calling its module, and counts."""
    itself = Calls(
        nn.MultiheadAttention(8, 2, batch_first=True),
        lambda layer, tokens: layer(tokens, tokens, tokens, need_weights=need_weights),
    )
    assert count_macs(itself, (5, 8)) == {
        "layer.in_proj_weight": 15 * 64, "layer.out_proj.weight": 5 * 64,
    }  # fmt: skip
    crossed = Calls(
        nn.MultiheadAttention(8, 2, kdim=6, vdim=4),
        lambda layer, tokens: layer(tokens[0, :2], value=tokens[0, :, :4], key=tokens[0, :, :6]),
    )
    assert count_macs(crossed, (5, 8)) == {
        "layer.q_proj_weight": 2 * 64, "layer.k_proj_weight": 5 * 48, "layer.v_proj_weight": 5 * 32,
        "layer.out_proj.weight": 2 * 64,
    }  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_transformer_counts_every_layer_in_spite_of_its_fused_kernel(device: str) -> None:
    with torch.device(device):
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    macs = count_macs(model, (5, 8))
    assert torch.backends.mha.get_fastpath_enabled() == was_enabled
    one = {"self_attn.in_proj_weight": 5 * 192, "self_attn.out_proj.weight": 5 * 64, "linear1.weight": 5 * 128,
           "linear2.weight": 5 * 128}  # fmt: skip
    assert macs == {f"layers.{index}.{name}": count for index in (0, 1) for name, count in one.items()}


class Restless(nn.Module):
    """Writes to a buffer and draws random numbers even in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.frozen = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).eval()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        self.calls += 1
        return self.frozen(self.norm(features)) + torch.rand(4)


def test_counting_leaves_no_trace() -> None:
    model = Restless()
    seen: list[int] = []
    model.norm.register_forward_hook(lambda *_: seen.append(1))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) for module in model.modules()]
    random_state = torch.get_rng_state()
    count_macs(model, (4,))
    after = model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert [module.training for module in model.modules()] == flags
    assert flags.count(True) == 2  # a frozen part stays frozen: not one train() for all
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert seen == [1]  # the user's own hooks saw one call and still exist


def test_hooks_and_flags_are_restored_when_forward_fails() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 2))
    with pytest.raises(RuntimeError):
        count_macs(model, (4,))
    assert model.training
    assert model[0].training
    assert not any(module._forward_hooks for module in model.modules())


def test_double_precision_counts_alike() -> None:
    assert count_macs(nn.Linear(4, 3).double(), (4,)) == {"weight": 12}


def test_cpu_and_meta_agree() -> None:
    torch.manual_seed(0)
    real = create_model("mobilenet-small", num_classes=10, input_shape=(1, 8, 8))
    assert count_macs(real, (1, 8, 8)) == count_macs(on_meta("mobilenet-small", (1, 8, 8), 10), (1, 8, 8))


@pytest.mark.parametrize(
    ("name", "shape", "num_classes"),
    [
        ("resnet-50", (3, 224, 224), 1000),
        ("mobilenet-v1", (3, 224, 224), 1000),
        ("mobilenet-v2", (3, 32, 32), 10),
        ("wrn-28-8", (3, 32, 32), 10),
        ("resnet-32", (3, 32, 32), 10),
        ("vgg-19-bn", (3, 32, 32), 10),
        ("lenet-5", (1, 28, 28), 10),
        ("convnet-small", (1, 8, 8), 10),
    ],
)
def test_torchs_counter_agrees(name: str, shape: tuple[int, ...], num_classes: int) -> None:
    """FlopCounterMode counts a multiply-add as two and, like us, only convolutions and matrix products."""
    model = on_meta(name, shape, num_classes).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *shape, device="meta"))
    assert counter.get_total_flops() == 2 * sum(count_macs(model, shape).values())


# Densities to multiply-adds.


def test_sparse_macs_by_hand() -> None:
    macs = {"first": 1000, "second": 10}
    assert sparse_macs(macs, {"first": 0.25, "second": 0.5}) == 255
    assert share_pruned(macs, {"first": 0.25, "second": 0.5}) == pytest.approx(1 - 255 / 1010)
    assert share_pruned(macs, {"first": 1, "second": 1}) == 0
    assert share_pruned(macs, {"first": 0, "second": 0}) == 1


@pytest.mark.parametrize(
    ("densities", "reason"),
    [
        ({"first": 1.0}, r"only one of them has \['second'\]"),
        ({"first": 1.0, "second": 1.0, "third": 1.0}, r"only one of them has \['third'\]"),
        ({"first": 1.0, "second": 1.5}, r"densities must be in \[0, 1\], not \{'second': 1.5\}"),
        ({"first": 1.0, "second": float("nan")}, "densities must be in"),
    ],
)
def test_densities_are_checked(densities: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sparse_macs({"first": 2, "second": 3}, densities)


# ResNet-50, convention A: the published columns, recomputed.


def test_resnet50_first_and_last_layer(macs: dict[str, int]) -> None:
    assert macs[FIRST] == 118_013_952
    assert macs[LAST] == 2_048_000
    assert sum(macs.values()) == 4_089_184_256
    assert 100 * macs[FIRST] / sum(macs.values()) == pytest.approx(2.886, abs=0.0005)
    assert sum(macs.values()) + 2048 * 49 == 4_089_284_608  # with the average pooling: the total of STR's own table


@pytest.mark.parametrize("sparsity", [0.8, 0.9, 0.95, 0.98])
def test_uniform_prunes_its_sparsity_of_the_flops(macs: dict[str, int], sparsity: float) -> None:
    assert share_pruned(macs, dict.fromkeys(macs, 1 - sparsity)) == pytest.approx(sparsity, abs=1e-12)


@pytest.mark.parametrize(("sparsity", "expected"), [(0.8, 77.69), (0.9, 87.40), (0.95, 92.26)])
def test_uniform_with_dense_first_layer(macs: dict[str, int], sparsity: float, expected: float) -> None:
    """The RigL* rows; 90 % is printed as 87.4."""
    assert percent_pruned(macs, dict.fromkeys(macs, 1 - sparsity) | {FIRST: 1}) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(("sparsity", "expected"), [(0.8, 58.62), (0.9, 75.82), (0.95, 87.83)])
def test_erk(macs: dict[str, int], shapes: dict[str, torch.Size], sparsity: float, expected: float) -> None:
    assert percent_pruned(macs, erk_densities(shapes, sparsity)) == pytest.approx(expected, abs=0.005)


def test_erk_with_dense_first_layer(macs: dict[str, int], shapes: dict[str, torch.Size]) -> None:
    """Printed as 85.3 for RigL + ERK at 95 %."""
    densities = erk_densities(shapes, 0.95, dense={FIRST})
    assert percent_pruned(macs, densities) == pytest.approx(85.54, abs=0.005)


@pytest.mark.parametrize(("sparsity", "expected"), [(0.8, 54.70), (0.9, 74.29), (0.95, 85.74)])
def test_er_without_kernel(
    macs: dict[str, int], shapes: dict[str, torch.Size], sparsity: float, expected: float
) -> None:
    """Only input and output channels in the raw density: what the kernel term of ERK changes."""
    flat = {name: (shape[0], shape[1]) for name, shape in shapes.items()}
    kernel = {name: shape.numel() // (shape[0] * shape[1]) for name, shape in shapes.items()}
    densities = _er_densities(flat, kernel, sparsity)
    assert percent_pruned(macs, densities) == pytest.approx(expected, abs=0.005)


def _er_densities(flat: Mapping[str, tuple[int, int]], kernel: Mapping[str, int], sparsity: float) -> dict[str, float]:
    """Densities proportional to (in + out) / (in * out), clipped at 1, over layers of in * out * kernel weights."""
    raw = {name: (a + b) / (a * b) for name, (a, b) in flat.items()}
    sizes = {name: a * b * kernel[name] for name, (a, b) in flat.items()}
    dense: set[str] = set()
    while True:
        free = raw.keys() - dense
        budget = (1 - sparsity) * sum(sizes.values()) - sum(sizes[name] for name in dense)
        scale = budget / sum(raw[name] * sizes[name] for name in free)
        if scale * max(raw[name] for name in free) <= 1:
            return {name: scale * raw[name] if name in free else 1.0 for name in raw}
        largest = max(raw[name] for name in free)
        dense |= {name for name in free if raw[name] == largest}


def test_dpf_row(macs: dict[str, int], resnet50: nn.Module, shapes: dict[str, torch.Size]) -> None:
    """Convolutions 90 % sparse, the classifier dense: 4.45 M parameters, 82.6 % of all, and 90.0 % of the FLOPs."""
    densities = dict.fromkeys(macs, 0.1) | {LAST: 1.0}
    total = sum(parameter.numel() for parameter in resnet50.parameters())
    pruned = sum(shape.numel() * (1 - densities[name]) for name, shape in shapes.items())
    assert (total - pruned) / 1e6 == pytest.approx(4.45, abs=0.005)
    assert 100 * pruned / total == pytest.approx(82.6, abs=0.05)
    assert percent_pruned(macs, densities) == pytest.approx(89.95, abs=0.005)


def test_stride_in_the_first_convolution_is_another_network(shapes: dict[str, torch.Size]) -> None:
    """ResNet-50 v1 has the stride in the 1x1: same weights, fewer multiply-adds. The counter must tell them apart."""
    model = on_meta("resnet-50", (3, 224, 224), 1000)
    for name, module in model.named_modules():
        if name.endswith("0.conv2") and isinstance(module, nn.Conv2d):
            first = model.get_submodule(name.replace("conv2", "conv1"))
            assert isinstance(first, nn.Conv2d)
            first.stride, module.stride = module.stride, (1, 1)
    macs = count_macs(model, (3, 224, 224))
    assert sum(macs.values()) == 3_857_973_248
    for sparsity, uniform, erk in [(0.8, 77.55, 59.89), (0.9, 87.25, 76.37), (0.95, 92.09, 88.11)]:
        first_dense = dict.fromkeys(macs, 1 - sparsity) | {FIRST: 1}
        assert percent_pruned(macs, first_dense) == pytest.approx(uniform, abs=0.005)
        assert percent_pruned(macs, erk_densities(shapes, sparsity)) == pytest.approx(erk, abs=0.005)


@pytest.mark.parametrize(("sparsity", "total", "expected"), [(0.75, 74.19, 71.28), (0.9, 89.03, 85.53)])
def test_mobilenet_v1_gmp_rows(sparsity: float, total: float, expected: float) -> None:
    """The first convolution and the depthwise ones stay dense; printed as 71.4 and 85.6 from rounded totals."""
    model = on_meta("mobilenet-v1", (3, 224, 224), 1000)
    sites = find_sites(model)
    dense = {sites[0].name} | {site.name for site in sites if site.is_depthwise}
    assert len(dense) == 14
    densities = {site.name: 1.0 if site.name in dense else 1 - sparsity for site in sites}
    removed = sum(site.weight.numel() * (1 - densities[site.name]) for site in sites)
    assert 100 * removed / sum(site.weight.numel() for site in sites) == pytest.approx(total, abs=0.005)
    assert percent_pruned(count_macs(model, (3, 224, 224)), densities) == pytest.approx(expected, abs=0.005)
