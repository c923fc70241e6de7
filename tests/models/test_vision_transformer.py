"""Transformers: products without a weight, weights that are used without their layer, starts and names of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.count_macs import count_macs
from prunebench.benchmark.models.count_products import count_products
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.models.titles import model_title
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import convnext_tiny, swin_t, vit_b_16

CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)


def made(name: str, input_shape: tuple[int, ...], num_classes: int = 10, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, num_classes=num_classes, input_shape=input_shape, **options)


@pytest.mark.parametrize(
    ("name", "shape", "options", "products"),
    [
        # two products of (tokens x tokens x width) a block
        ("deit-s", IMAGENET, {}, 12 * 2 * 197**2 * 384),
        ("vit-tiny", CIFAR, {}, 6 * 2 * 65**2 * 192),
        ("vit-tiny", CIFAR, {"depth": 2, "patch": 8, "width": 0.5}, 2 * 2 * 17**2 * 96),
        # windows of 49 tokens: 64 of 96 channels, 16 of 192, 4 of 384, 1 of 768
        ("swin-t", IMAGENET, {}, 2 * 49**2 * (2 * 64 * 96 + 2 * 16 * 192 + 6 * 4 * 384 + 2 * 768)),
        ("convnext-tiny", CIFAR, {}, 0),
        ("resnet-8", CIFAR, {}, 0),
    ],
)
def test_products_of_activations_by_hand(
    name: str, shape: tuple[int, ...], options: dict[str, Any], products: int
) -> None:
    assert count_products(made(name, shape, **options), shape) == products


def test_counting_products_leaves_the_network_as_it_was() -> None:
    model = made("vit-tiny", CIFAR, depth=1)
    model.encoder.eval()
    before = [parameter.clone() for parameter in model.parameters()]
    state = torch.random.get_rng_state()
    count_products(model, CIFAR)
    assert torch.equal(state, torch.random.get_rng_state())
    assert model.training
    assert not model.encoder.training
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


def test_a_weight_used_outside_its_layer_counts_each_token() -> None:
    """Swin pads 8 x 8 tokens to two windows of 7 on each side: 14 x 14 tokens pass its projections."""
    model = made("swin-t", CIFAR)
    macs = count_macs(model, CIFAR)
    assert macs["features.1.0.attn.qkv.weight"] == 14 * 14 * 96 * 288
    assert macs["features.1.0.attn.proj.weight"] == 14 * 14 * 96 * 96
    assert macs["features.1.0.mlp.0.weight"] == 8 * 8 * 96 * 384


def test_a_weight_that_is_used_in_its_layer_counts_once() -> None:
    layer = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    assert count_macs(layer, (5, 4)) == {"0.weight": 5 * 12, "1.weight": 5 * 6}


@pytest.mark.parametrize("shape", [(3, 32, 24), (3, 30, 30)])
def test_images_must_be_square_and_whole_patches(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"model 'vit-tiny': input shape .* square images whose side is a multiple of"):
        made("vit-tiny", shape)


def test_the_head_does_not_start_at_zero() -> None:
    """Otherwise no layer below it has a gradient, and SNIP or GraSP score zeros."""
    head = find_sites(made("vit-tiny", CIFAR, 100))[-1]
    assert head.name == "heads.head.weight"
    assert head.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_gray_images_have_a_stem_of_one_channel() -> None:
    model = made("vit-tiny", (1, 28, 28), depth=1)
    assert find_sites(model)[0].weight.shape == (192, 1, 4, 4)
    assert find_sites(model)[0].weight.std().item() == pytest.approx(0.25, rel=0.1)  # fan-in 16
    assert model(torch.randn(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "build"), [("vit-b-16", vit_b_16), ("swin-t", swin_t), ("convnext-tiny", convnext_tiny)]
)
def test_published_weights_fit(name: str, build: Any) -> None:
    with torch.device("meta"):
        theirs = build(weights=None).state_dict()
        ours = create_model(name, num_classes=1000, input_shape=IMAGENET).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


def test_titles_are_the_papers() -> None:
    names = ["deit-s", "vit-s-16", "vit-b-16", "vit-tiny", "swin-t", "convnext-tiny"]
    titles = ["DeiT-S", "ViT-S/16", "ViT-B/16", "ViT-tiny", "Swin-T", "ConvNeXt-tiny"]
    assert [model_title(name) for name in names] == titles


def deit_state(width: int, depth: int, patch: int, tokens: int) -> dict[str, Tensor]:
    """Random weights under the names of DeiT's files."""
    shapes = {
        "cls_token": (1, 1, width), "pos_embed": (1, tokens, width),
        "patch_embed.proj.weight": (width, 3, patch, patch), "patch_embed.proj.bias": (width,),
        "norm.weight": (width,), "norm.bias": (width,), "head.weight": (5, width),
        "head.bias": (5,),
    }  # fmt: skip
    for block in range(depth):
        for name, shape in {
            "norm1.weight": (width,), "norm1.bias": (width,), "norm2.weight": (width,), "norm2.bias": (width,),
            "attn.qkv.weight": (3 * width, width), "attn.qkv.bias": (3 * width,), "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,), "mlp.fc1.weight": (4 * width, width), "mlp.fc1.bias": (4 * width,),
            "mlp.fc2.weight": (width, 4 * width), "mlp.fc2.bias": (width,),
        }.items():  # fmt: skip
            shapes[f"blocks.{block}.{name}"] = shape
    torch.manual_seed(1)
    return {name: 0.2 * torch.randn(shape) for name, shape in shapes.items()}


def deit(state: dict[str, Tensor], images: Tensor, heads: int, depth: int, patch: int) -> Tensor:
    """The network by its definition, a line for each step."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    x = F.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=patch)
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x.flatten(2).mT], 1) + state["pos_embed"]
    batch, tokens, width = x.shape
    for block in range(depth):
        name = f"blocks.{block}"
        qkv = linear(norm(x, f"{name}.norm1"), f"{name}.attn.qkv").view(batch, tokens, 3, heads, width // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = (q @ k.mT / (width // heads) ** 0.5).softmax(-1)
        x = x + linear((scores @ v).transpose(1, 2).reshape(batch, tokens, width), f"{name}.attn.proj")
        x = x + linear(F.gelu(linear(norm(x, f"{name}.norm2"), f"{name}.mlp.fc1")), f"{name}.mlp.fc2")
    return linear(norm(x, "norm")[:, 0], "head")


def test_a_file_with_deits_names_gives_deits_network(tmp_path: Path) -> None:
    state = deit_state(width=96, depth=2, patch=8, tokens=17)
    save_file(state, tmp_path / "deit.safetensors")
    model = create_model(
        "vit-tiny", num_classes=5, input_shape=CIFAR, depth=2, patch=8, width=0.5,
        weights=str(tmp_path / "deit.safetensors"),
    )  # fmt: skip
    images = torch.randn(2, *CIFAR)
    expected = deit(state, images, heads=3, depth=2, patch=8)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images), expected, rtol=1e-4, atol=1e-4)
