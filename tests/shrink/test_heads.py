"""Heads that add nothing to the stream go, and the network computes what it did; in float64."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.count_macs import count_macs
from prunebench.benchmark.shrink import load, shrink
from prunebench.benchmark.shrink.architecture import Architecture, changed_layers
from prunebench.benchmark.shrink.fewer_heads import FewerHeads
from prunebench.benchmark.shrink.stored import save
from test_shrunk import FAMILIES, assert_equal_outputs, trained
from torch import Tensor, nn

HEADS, OF_A_HEAD = 4, 3
STREAM = HEADS * OF_A_HEAD


class Attending(nn.Module):
    """One attention on tokens that layer norm has normalised, called as the keywords say."""

    def __init__(
        self, asks_for_weights: bool = False, masks: Mapping[str, Tensor] | None = None, **options: Any
    ) -> None:
        super().__init__()
        self.names = tuple(masks or {})
        for name in self.names:
            self.register_buffer(name, (masks or {})[name])
        self.attention = nn.MultiheadAttention(STREAM, HEADS, **options)
        self.norm, self.last = nn.LayerNorm(STREAM), nn.Linear(STREAM, 2)
        self.keywords: dict[str, Any] = {"need_weights": asks_for_weights}

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.norm(tokens)
        masks = {name: getattr(self, name) for name in self.names}
        tokens = tokens + self.attention(hidden, hidden, hidden, **self.keywords, **masks)[0]
        return self.last(tokens)


def prepared(model: nn.Module) -> nn.Module:
    """In float64 and eval mode, with biases that are not zero."""
    torch.manual_seed(0)
    for parameter in model.double().eval().parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


@torch.no_grad()
def empty_heads(attention: Any, values: list[int], columns: list[int]) -> None:
    """No value weights in some heads, and no column of the output's projection for others."""
    width = attention.head_dim
    for head in values:
        begin = 2 * attention.embed_dim + head * width
        attention.in_proj_weight[begin : begin + width] = 0
    for head in columns:
        attention.out_proj.weight[:, head * width : (head + 1) * width] = 0


CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)
PADDING = torch.tensor([[False, False, True, False, True], [False] * 5])


@pytest.mark.parametrize(
    ("options", "masks", "shape"),
    [
        ({"batch_first": True}, {}, (2, 5, STREAM)),
        ({"batch_first": True, "bias": False}, {}, (2, 5, STREAM)),
        ({"batch_first": False}, {}, (5, 2, STREAM)),
        ({}, {}, (5, STREAM)),
        ({"batch_first": True}, {"attn_mask": CAUSAL}, (2, 5, STREAM)),
        ({"batch_first": True}, {"attn_mask": CAUSAL, "key_padding_mask": PADDING}, (2, 5, STREAM)),
        ({"batch_first": True}, {"key_padding_mask": PADDING.float() * -2}, (2, 5, STREAM)),
    ],
)
def test_outputs_stay_without_dead_heads(
    options: dict[str, Any], masks: dict[str, Tensor], shape: tuple[int, ...]
) -> None:
    model: Any = prepared(Attending(masks=masks, **options))
    empty_heads(model.attention, [0], [2])
    tokens = torch.randn(shape, dtype=torch.float64)
    done = shrink(model, {}, tokens)
    small: Any = done.network
    assert done.removed == {"heads of attention": 2}
    assert small.attention.num_heads == 2
    assert small.attention.in_proj_weight.shape == (3 * 2 * OF_A_HEAD, STREAM)
    assert small.attention.out_proj.weight.shape == (STREAM, 2 * OF_A_HEAD)
    assert small.norm.normalized_shape == (STREAM,)
    assert_equal_outputs(small, model, tokens)
    # twelve rows and columns of twelve channels went, of each of two heads
    sites = {site.name: site.weight.numel() for site in find_sites(small)}
    assert sites == {"attention.in_proj_weight": 216, "attention.out_proj.weight": 72, "last.weight": 24}


def test_multiply_adds_are_those_of_the_heads_left() -> None:
    model: Any = prepared(Attending(batch_first=True))
    empty_heads(model.attention, [1, 3], [])
    small = shrink(model, {}, torch.zeros(1, 5, STREAM)).network
    macs = count_macs(small.float(), (5, STREAM))
    assert (macs["attention.in_proj_weight"], macs["attention.out_proj.weight"]) == (5 * 216, 5 * 72)


def test_one_head_stays() -> None:
    model: Any = prepared(Attending(batch_first=True))
    empty_heads(model.attention, [0, 1, 2, 3], [])
    tokens = torch.randn(2, 5, STREAM, dtype=torch.float64)
    done = shrink(model, {}, tokens)
    assert done.removed == {"heads of attention": 3}
    assert done.left["heads of attention"] == (1, "a layer keeps one head")
    assert_equal_outputs(done.network, model, tokens)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Attending(asks_for_weights=True, batch_first=True), "its attention weights are asked for"),
        (Attending(batch_first=True, add_zero_attn=True), "its keys or values have other sizes or extra entries"),
        (Attending(batch_first=True, add_bias_kv=True), "its keys or values have other sizes or extra entries"),
    ],
)
def test_heads_stay_where_more_than_the_output_depends_on_them(model: Any, reason: str) -> None:
    prepared(model)
    empty_heads(model.attention, [0], [])
    done = shrink(model, {}, torch.randn(2, 5, STREAM, dtype=torch.float64))
    assert done.removed == {}
    count, found = done.left["heads of attention"]
    assert (count, found.startswith(reason)) == (1, True)
    assert type(done.network.get_submodule("attention")) is nn.MultiheadAttention


def test_a_mask_for_each_head_keeps_the_heads() -> None:
    masks = {"attn_mask": torch.zeros(2 * HEADS, 5, 5)}
    model: Any = prepared(Attending(masks=masks, batch_first=True))
    empty_heads(model.attention, [0], [])
    done = shrink(model, {}, torch.randn(2, 5, STREAM, dtype=torch.float64))
    assert done.left["heads of attention"] == (1, "it is called with a mask for each head")


def test_a_layer_of_torchs_encoder_calls_the_heads_left() -> None:
    layer: Any = prepared(nn.TransformerEncoderLayer(STREAM, HEADS, 8, batch_first=True))
    empty_heads(layer.self_attn, [2], [])
    model: Any = nn.Sequential(layer, nn.Linear(STREAM, 2).double())
    tokens = torch.randn(2, 5, STREAM, dtype=torch.float64)
    done = shrink(model, {}, tokens)
    assert done.removed == {"heads of 0.self_attn": 1}
    assert_equal_outputs(done.network, model, tokens)


def test_a_vision_transformer_loses_heads_and_is_rebuilt_from_its_files(tmp_path: Path) -> None:
    shape, options = FAMILIES["vit-tiny"]
    model: Any = prepared(trained("vit-tiny"))
    empty_heads(model.encoder.layers[0].self_attention, [1], [2])
    empty_heads(model.encoder.layers[1].self_attention, [0], [])
    images = torch.randn(2, *shape, dtype=torch.float64)
    done = shrink(model, {}, images)
    paths = [f"heads of encoder.layers.encoder_layer_{block}.self_attention" for block in (0, 1)]
    assert [done.removed[path] for path in paths] == [2, 1]
    assert_equal_outputs(done.network, model, images)
    layers = changed_layers(model, done.network)
    assert layers["encoder.layers.encoder_layer_0.self_attention"] == {"num_heads": 1}
    small = copy.deepcopy(done.network).float()
    architecture = Architecture(model="vit-tiny", num_classes=5, input_shape=shape, options=options, layers=layers)
    save(tmp_path / "small", small, architecture)
    again = load(tmp_path / "small")
    assert torch.equal(again(images.float()), small(images.float()))
    assert isinstance(again.get_submodule("encoder.layers.encoder_layer_0.self_attention"), FewerHeads)
    # what is small already can be made smaller
    empty = shrink(small, {}, images.float())
    assert empty.removed == {}
