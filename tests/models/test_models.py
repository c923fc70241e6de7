"""Every network has the published numbers of parameters, layers and multiply-adds, and trains."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.count_macs import count_macs
from prunebench.benchmark.models.registry import MODELS, create_model, model_names, model_options
from prunebench.benchmark.models.resnet import ScaledResNet
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


class Size(NamedTuple):
    """One row of the table: what the network is for, and what it must count."""

    name: str
    input_shape: tuple[int, ...]
    num_classes: int
    parameters: int
    prunable: int
    layers: int
    norm: int
    bias: int
    macs: int
    options: tuple[tuple[str, Any], ...] = ()


CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)
SIZES = [
    Size("resnet-50", IMAGENET, 1000, 25_557_032, 25_502_912, 54, 53_120, 1_000, 4_089_184_256),
    Size("mobilenet-v1", IMAGENET, 1000, 4_230_976, 4_209_088, 28, 21_888, 0, 568_740_352),
    Size("resnet-32", CIFAR, 10, 464_154, 461_872, 32, 2_272, 10, 68_862_592),
    Size("resnet-32", CIFAR, 10, 466_906, 464_432, 34, 2_464, 10, 69_124_736, (("shortcut", "B"),)),
    # 27 x 16 + 2 x 9 x 16 x 16 + 9 x (16 x 32 + 32 x 32) + 9 x (32 x 64 + 64 x 64) + 640 weights, used once a pixel:
    # (432 + 4,608) x 1,024 + 13,824 x 256 + 55,296 x 64 + 640
    Size("resnet-8", CIFAR, 10, 75_290, 74_800, 8, 480, 10, 12_239_488),
    Size("resnet-8", CIFAR, 10, 78_042, 77_360, 10, 672, 10, 12_501_632, (("shortcut", "B"),)),
    Size("resnet-20", CIFAR, 10, 269_722, 268_336, 20, 1_376, 10, 40_551_040),
    # 270,256 weights of convolutions, of which density is counted in the three-regime study, and 640
    Size("preresnet-20", CIFAR, 10, 272_282, 270_896, 22, 1_376, 10, 40_813_184),
    Size("resnet-56", CIFAR, 10, 853_018, 848_944, 56, 4_064, 10, 125_485_696),
    Size("wrn-28-8", CIFAR, 10, 23_354_842, 23_340_464, 29, 14_368, 10, 3_360_084_992),
    Size("wrn-22-8", CIFAR, 10, 17_158_106, 17_147_312, 23, 10_784, 10, 2_454_115_328),
    Size("wrn-16-8", CIFAR, 10, 10_961_370, 10_954_160, 17, 7_200, 10, 1_548_145_664),
    Size("wrn-28-10", CIFAR, 10, 36_479_194, 36_461_232, 29, 17_952, 10, 5_243_328_768),
    Size("wrn-28-2", CIFAR, 10, 1_467_610, 1_463_984, 29, 3_616, 10, 214_353_152),
    Size("mobilenet-v2", CIFAR, 10, 2_296_922, 2_261_824, 58, 35_088, 10, 91_154_944),
    Size("resnet-50-cifar", CIFAR, 10, 23_520_842, 23_467_712, 54, 53_120, 10, 1_297_829_888),
    Size("resnet-18", CIFAR, 10, 11_173_962, 11_164_352, 21, 9_600, 10, 555_422_720),
    Size("vgg-19-bn", CIFAR, 10, 20_040_522, 20_024_000, 17, 11_008, 5_514, 398_136_320),
    Size("lenet-5", (1, 28, 28), 10, 431_080, 430_500, 4, 0, 580, 2_293_000),
    Size("lenet-300-100", (1, 28, 28), 10, 266_610, 266_200, 3, 0, 410, 266_200),
    Size("convnet-small", (1, 8, 8), 10, 33_338, 33_040, 5, 288, 10, 304_768),
    # 144 x 7 x 7 + (4,608 + 9,216) x 4 x 4 + 18,432 x 2 x 2 + 640
    Size("convnet-small", (1, 28, 28), 10, 33_338, 33_040, 5, 288, 10, 302_608, (("stem_stride", 4),)),
    # 192 x 3 x 4 x 4 + 6 blocks x 12 x 192^2 + 1,920 weights; used 64 times, a block's 65 times, the head's once
    Size("vit-tiny", CIFAR, 10, 2_693_578, 2_665_344, 26, 4_992, 10_570, 173_115_264),
    # DeiT-S is published with 22.05 million parameters and 4.6 billion multiply-adds: with 357,663,744 without a weight
    Size("vit-s-16", IMAGENET, 1000, 22_050_664, 21_912_576, 50, 19_200, 42_856, 4_241_218_560),
    Size("deit-s", IMAGENET, 1000, 22_050_664, 21_912_576, 50, 19_200, 42_856, 4_241_218_560),
    Size("vit-b-16", IMAGENET, 1000, 86_567_656, 86_292_480, 50, 38_400, 84_712, 16_848_500_736),
    # 4 blocks of 12 x 128^2 weights, used once a byte of the window
    Size("byte-transformer", (128,), 256, 842_496, 786_432, 16, 2_304, 4_608, 100_663_296),
    # and a head of 256 x 128
    Size("byte-transformer", (128,), 256, 875_264, 819_200, 17, 2_304, 4_608, 104_857_600, (("tied", False),)),
    # published with 29 million (28,288,354) and 4.5 billion: these and 140,141,568 without weights
    Size("swin-t", IMAGENET, 1000, 28_288_354, 28_199_424, 53, 24_768, 40_840, 4_350_425_088),
    Size("convnext-tiny", IMAGENET, 1000, 28_589_128, 28_524_000, 59, 16_320, 42_184, 4_455_531_264),
    Size("mobilenet-small", (1, 8, 8), 10, 38_282, 36_000, 19, 2_272, 10, 368_256),
]
SMALL_INPUTS = {
    "fastgrnn": (16, 9),
    "lenet-5": (1, 16, 16),
    "mobilenet-v1": (3, 32, 32),
    "resnet-50": (3, 32, 32),
    "vgg-19-bn": (3, 32, 32),
    "convnext-tiny": (3, 32, 32),
    "deit-s": (3, 32, 32),
    "swin-t": (3, 32, 32),
    "vit-b-16": (3, 32, 32),
    "vit-s-16": (3, 32, 32),
}
"""The smallest input of each network that does not take (3, 8, 8)."""


def on_meta(name: str, input_shape: tuple[int, ...], num_classes: int = 10, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, num_classes=num_classes, input_shape=input_shape, **options)


def numel_of(model: nn.Module, kind: str) -> int:
    """Number of parameters that are a normalisation's, or biases of other layers."""
    total = 0
    for module in model.modules():
        is_norm = isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
        for attribute, parameter in module.named_parameters(recurse=False):
            if is_norm == (kind == "norm") and (is_norm or attribute.endswith("bias")):
                total += parameter.numel()
    return total


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "-".join([size.name, *(str(v) for _, v in size.options)]))
def test_counts_are_the_published_ones(size: Size) -> None:
    model = on_meta(size.name, size.input_shape, size.num_classes, **dict(size.options))
    sites = find_sites(model)
    macs = count_macs(model, size.input_shape)
    assert sum(parameter.numel() for parameter in model.parameters()) == size.parameters
    assert sum(site.weight.numel() for site in sites) == size.prunable
    assert len(sites) == len(macs) == size.layers
    assert numel_of(model, "norm") == size.norm
    assert numel_of(model, "bias") == size.bias
    assert sum(macs.values()) == size.macs


def test_every_image_network_is_in_the_table() -> None:
    assert {size.name for size in SIZES} == set(model_names()) - {"fastgrnn"}


@pytest.mark.parametrize("name", sorted({*model_names()} - {"byte-transformer"}))
def test_trains_and_its_sites_get_gradients(name: str) -> None:
    """Batch norm over one value is an error in training, so the smallest input must give it more than one."""
    shape = SMALL_INPUTS.get(name, (3, 8, 8))
    options = {"stochastic_depth": 0.0} if "stochastic_depth" in model_options(name) else {}  # it leaves layers out
    torch.manual_seed(0)
    model = create_model(name, num_classes=7, input_shape=shape, **options).train()
    logits: Tensor = model(torch.randn(2, *shape))
    assert logits.shape == (2, 7)
    nn.functional.cross_entropy(logits, torch.tensor([3, 6])).backward()
    for site in find_sites(model):
        assert site.weight.grad is not None
        assert torch.isfinite(site.weight.grad).all()
        assert site.weight.grad.abs().sum() > 0, site.name


@pytest.mark.parametrize("name", ["convnet-small", "fastgrnn", "lenet-5", "mobilenet-small", "resnet-20"])
def test_initialisation_follows_the_global_random_state(name: str) -> None:
    shape = SMALL_INPUTS.get(name, (3, 8, 8))

    def parameters(seed: int) -> Tensor:
        torch.manual_seed(seed)
        model = create_model(name, num_classes=5, input_shape=shape)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    assert torch.equal(parameters(1), parameters(1))
    assert not torch.equal(parameters(1), parameters(2))


@pytest.mark.parametrize(
    ("name", "site", "deviation"),
    [
        ("wrn-28-2", "group1.0.conv1.weight", (2 / (9 * 32)) ** 0.5),  # N(0, 2 / (k k c_out))
        ("wrn-28-2", "group3.0.shortcut.weight", (2 / 128) ** 0.5),
        ("resnet-20", "stage3.1.conv1.weight", (2 / (9 * 64)) ** 0.5),  # Kaiming over fan-in
        ("resnet-20", "stage2.0.conv1.weight", (2 / (9 * 16)) ** 0.5),
        ("resnet-18", "layer1.0.conv1.weight", (2 / (9 * 64)) ** 0.5),
        ("mobilenet-v1", "features.3.weight", (1 / (3 * 9)) ** 0.5),  # uniform on +- 1 / sqrt(fan-in)
        ("mobilenet-small", "blocks.3.conv3.weight", (1 / (3 * 96)) ** 0.5),
        ("lenet-300-100", "fc1.weight", (2 / (192 + 300)) ** 0.5),  # Glorot
        ("fastgrnn", "cell.U1", 0.1),
        ("fastgrnn", "classifier.weight", 1.0),
    ],
)
def test_initial_standard_deviation(name: str, site: str, deviation: float) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=10, input_shape=SMALL_INPUTS.get(name, (3, 8, 8)))
    weight = next(each.weight for each in find_sites(model) if each.name == site)
    assert weight.mean().item() == pytest.approx(0, abs=5 * deviation / weight.numel() ** 0.5)
    assert weight.std().item() == pytest.approx(deviation, rel=4 / weight.numel() ** 0.5)


def test_wide_resnet_indices_are_the_papers() -> None:
    """Index 0 is the stem, 3, 10 and 17 the 1x1 projections, 22 the classifier (WRN-22-8)."""
    sites = find_sites(on_meta("wrn-22-8", CIFAR))
    kernels = [tuple(site.weight.shape[2:]) for site in sites]
    assert [index for index, kernel in enumerate(kernels) if kernel == (1, 1)] == [3, 10, 17]
    assert sites[22].name == "fc.weight"


def test_mobilenet_v2_ends_in_projection_head_and_classifier() -> None:
    shapes = [tuple(site.weight.shape) for site in find_sites(on_meta("mobilenet-v2", CIFAR))]
    assert shapes[55:] == [(320, 160, 1, 1), (1280, 320, 1, 1), (10, 1280)]


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_width_of_one_is_torchvisions_network_bit_for_bit(block: type[BasicBlock | Bottleneck]) -> None:
    torch.manual_seed(0)
    theirs = ResNet(block, [1, 1, 1, 1], num_classes=5, zero_init_residual=True)
    torch.manual_seed(0)
    ours = ScaledResNet(block, [1, 1, 1, 1], 5, zero_init_residual=True, width=1)
    state, expected = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize(
    ("name", "width", "channels"),
    [
        ("convnet-small", 4.3, [4, 9, 9, 17]),
        ("lenet-5", 0.25, [5, 13]),
        ("resnet-20", 0.3, [5] * 7 + [10] * 6 + [19] * 6),
        ("vgg-19-bn", 0.1, [6] * 2 + [13] * 2 + [26] * 4 + [51] * 8),
        ("wrn-16-8", 0.04, [16, *[1] * 5, *[1] * 5, *[3] * 5]),
    ],
)
def test_every_layer_follows_the_width(name: str, width: float, channels: list[int]) -> None:
    """Channels times the width, rounded half up, at least one (WRN's stem stays at 16, the factor k is the width)."""
    shape = (1, 28, 28) if name in ("lenet-5", "convnet-small") else CIFAR
    model = create_model(name, num_classes=10, input_shape=shape, width=width)
    assert [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)] == channels
    assert model(torch.randn(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize("width", [0, -1.0, float("inf"), "2"])
def test_a_width_must_be_a_positive_number(width: Any) -> None:
    with pytest.raises(UserError, match=r"model 'resnet-18': width is .*; it must be a finite number > 0"):
        create_model("resnet-18", num_classes=10, input_shape=CIFAR, width=width)


def test_padded_shortcut_by_hand() -> None:
    from prunebench.benchmark.models.resnet_cifar import PaddedShortcut

    planes = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    padded = PaddedShortcut(2, 4)(planes)
    expected = torch.zeros(1, 4, 2, 2)
    expected[0, 1] = torch.tensor([[0.0, 2.0], [8.0, 10.0]])
    expected[0, 2] = torch.tensor([[16.0, 18.0], [24.0, 26.0]])
    assert torch.equal(padded, expected)


@pytest.mark.parametrize("side", [8, 9])
def test_padded_shortcut_takes_every_second_pixel_to_the_bit(side: int) -> None:
    from prunebench.benchmark.models.resnet_cifar import PaddedShortcut

    planes = torch.randn(2, 4, side, side, requires_grad=True)
    taken = PaddedShortcut(4, 8)(planes)[:, 2:6]
    assert torch.equal(taken, planes[:, :, ::2, ::2])
    upstream = torch.randn_like(taken)
    (found,) = torch.autograd.grad(taken, planes, upstream)
    (expected,) = torch.autograd.grad(planes[:, :, ::2, ::2], planes, upstream)
    assert torch.equal(found, expected)


def test_dropout_is_the_option_and_defaults_to_the_recipe() -> None:
    def rates(**options: Any) -> set[float]:
        model = on_meta("wrn-16-8", CIFAR, **options)
        return {module.p for module in model.modules() if isinstance(module, nn.Dropout)}

    assert rates() == {0.3}
    assert rates(dropout=0) == {0}


def test_zero_init_residual_starts_blocks_as_identities() -> None:
    torch.manual_seed(0)
    plain = create_model("resnet-18", num_classes=10, input_shape=CIFAR)
    zero = create_model("resnet-18", num_classes=10, input_shape=CIFAR, zero_init_residual=True)
    assert plain.get_parameter("layer1.0.bn2.weight").min() == 1
    assert zero.get_parameter("layer1.0.bn2.weight").abs().max() == 0


def test_vgg_features_are_torchvisions() -> None:
    from torchvision.models import vgg19_bn

    with torch.device("meta"):
        theirs = vgg19_bn().features.state_dict()
    features = on_meta("vgg-19-bn", CIFAR).get_submodule("features")
    assert {k: v.shape for k, v in features.state_dict().items()} == {k: v.shape for k, v in theirs.items()}


def test_global_magnitude_empties_layers_of_mobilenet_small_only() -> None:
    """One threshold over all weights at initialisation: the mobile network is a small example of layer collapse."""

    def emptied(name: str, sparsity: float) -> set[str]:
        torch.manual_seed(0)
        sites = find_sites(create_model(name, num_classes=10, input_shape=(1, 8, 8)))
        magnitudes = torch.cat([site.weight.detach().abs().flatten() for site in sites])
        threshold = magnitudes.kthvalue(int(sparsity * magnitudes.numel())).values
        return {site.name for site in sites if site.weight.abs().max() <= threshold}

    assert emptied("convnet-small", 0.9) == set()
    assert {"conv2.weight", "fc.weight"} < emptied("mobilenet-small", 0.9)
    both_paths = {"blocks.4.conv3.weight", "blocks.4.shortcut.0.weight"}
    assert both_paths < emptied("mobilenet-small", 0.95)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_shape_that_does_not_fit_is_named(name: str) -> None:
    wrong = (3, 4, 4, 4) if name != "lenet-300-100" else (3, 0)
    with pytest.raises(UserError, match=f"model '{name}'.*input shape .* does not fit: takes") as caught:
        create_model(name, num_classes=10, input_shape=wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("resnet-50", (1, 224, 224), "with 3 channels, height and width at least 32"),
        ("resnet-18", (3, 224, 224), "height and width from 8 to 96"),
        ("wrn-28-8", (3, 7, 32), "height and width at least 8"),
        ("fastgrnn", (1152,), r"\(time steps, channels\)"),
    ],
)
def test_limits_of_shapes(name: str, shape: tuple[int, ...], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        create_model(name, num_classes=10, input_shape=shape)


def test_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown model 'wrn-28-9'; did you mean 'wrn-28"):
        create_model("wrn-28-9", num_classes=10, input_shape=CIFAR)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"droput": 0.1}, "unknown option of model 'wrn-16-8' 'droput'; did you mean 'dropout'.*weights"),
        ({"dropout": 1.0}, "model 'wrn-16-8': dropout is 1.0; it must be a finite number >= 0 and < 1"),
        ({"dropout": -0.1}, "dropout is -0.1; .* >= 0"),
        ({"dropout": "0.3"}, "dropout is '0.3'; .*number"),
        ({"dropout": True}, "dropout is True; .*number"),
        ({"num_blocks": 2}, "unknown option"),
        ({"weights": 5}, "model 'wrn-16-8': weights is 5; it must be a text or null"),
    ],
)
def test_options_are_checked(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        create_model("wrn-16-8", num_classes=10, input_shape=CIFAR, **options)


def test_choices_are_checked() -> None:
    with pytest.raises(UserError, match="model 'resnet-32': shortcut is 'C'; it must be one of A, B"):
        create_model("resnet-32", num_classes=10, input_shape=CIFAR, shortcut="C")


def test_class_count_is_checked() -> None:
    with pytest.raises(UserError, match="model 'lenet-5': num_classes is 0; it must be at least 1"):
        create_model("lenet-5", num_classes=0, input_shape=(1, 28, 28))


def test_options_are_listed_with_their_defaults() -> None:
    assert model_options("wrn-28-8") == {"dropout": 0.3, "width": 8, "weights": None}
    assert model_options("resnet-32") == {"shortcut": "A", "width": 1, "weights": None}


def test_listing_names_imports_no_torch() -> None:
    code = (
        "import sys; from prunebench.benchmark.models.registry import model_names; "
        "assert 'wrn-28-8' in model_names(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
