"""A transformer of bytes: what it computes by its definition, what is counted, and what it does not take."""

from __future__ import annotations

import math

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.count_macs import count_macs
from prunebench.benchmark.models.count_products import count_products
from prunebench.benchmark.models.made_up_inputs import check_outputs, made_up_inputs
from prunebench.benchmark.models.outside import count_parameters
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.models.titles import model_title
from prunebench.datasets.registry import describe
from torch import Tensor, nn
from torch.nn import functional as F

SYMBOLS, CONTEXT, WIDTH, HEADS = 7, 5, 8, 2


def made(seed: int = 0, **options: int | bool) -> nn.Module:
    torch.manual_seed(seed)
    sizes = {"depth": 2, "width": WIDTH, "heads": HEADS}
    return create_model("byte-transformer", num_classes=SYMBOLS, input_shape=(CONTEXT,), **{**sizes, **options})


def defined(state: dict[str, Tensor], symbols: Tensor, depth: int) -> Tensor:
    """Logits (batch, places, symbols) of the network by its definition, a line for each step."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])

    def layer(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].mT + state[f"{name}.bias"]

    x = state["symbols.weight"][symbols] + state["positions.weight"]
    future = torch.ones(CONTEXT, CONTEXT).triu(1).bool()
    for block in (f"blocks.{index}" for index in range(depth)):
        parts = layer(norm(x, f"{block}.norm_1"), f"{block}.attention.qkv").split(WIDTH, dim=-1)
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        scores = (q @ k.mT / math.sqrt(WIDTH / HEADS)).masked_fill(future, -math.inf).softmax(-1)
        x = x + layer((scores @ v).transpose(1, 2).flatten(2), f"{block}.attention.out")
        x = x + layer(F.gelu(layer(norm(x, f"{block}.norm_2"), f"{block}.rise")), f"{block}.fall")
    return norm(x, "norm") @ state.get("head.weight", state["symbols.weight"]).mT


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_those_of_the_definition(tied: bool) -> None:
    model = made(tied=tied)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))  # so that biases and norms count
        symbols = torch.randint(SYMBOLS, (3, CONTEXT))
        expected = defined(model.state_dict(), symbols, depth=2)
        assert torch.equal(model(symbols), model(symbols.float()))
        torch.testing.assert_close(model(symbols.float()).mT, expected, rtol=1e-5, atol=1e-5)


def test_a_place_sees_nothing_that_comes_after_it() -> None:
    model, symbols = made().eval(), torch.zeros(1, CONTEXT)
    changed = symbols.clone()
    changed[0, 3] = 4
    same = (model(symbols) == model(changed)).all(dim=1)[0]
    assert same.tolist() == [True, True, True, False, False]


def test_projections_are_pruned_and_tables_are_not() -> None:
    """Of two blocks of 12 x 8^2 weights, used at 5 places; scores and weighted sums of 5 x 5 x 8 in each block."""
    model = made()
    assert [site.name for site in find_sites(model)] == [
        f"blocks.{index}.{name}.weight"
        for index in (0, 1)
        for name in ("attention.qkv", "attention.out", "rise", "fall")
    ]
    macs = count_macs(model, (CONTEXT,))
    assert macs["blocks.1.attention.qkv.weight"] == 5 * 8 * 24
    assert sum(macs.values()) == 5 * 2 * 12 * 64
    assert count_products(model, (CONTEXT,)) == 2 * 2 * 25 * 8
    sizes = count_parameters(model)
    assert (sizes.prunable, sizes.outside) == (2 * 12 * 64, {"Embedding.weight": 8 * (7 + 5)})


def test_a_head_of_its_own_is_prunable() -> None:
    model = made(tied=False)
    assert find_sites(model)[-1].name == "head.weight"
    assert count_macs(model, (CONTEXT,))["head.weight"] == 5 * 7 * 8


def test_initialisation_is_gpt2s() -> None:
    model = made(width=64, heads=4, depth=8)
    deviations = {site.name: site.weight.std().item() for site in find_sites(model)}
    assert deviations["blocks.3.rise.weight"] == pytest.approx(0.02, rel=0.05)
    assert deviations["blocks.3.fall.weight"] == pytest.approx(0.02 / 4, rel=0.05)
    assert deviations["blocks.3.attention.out.weight"] == pytest.approx(0.02 / 4, rel=0.05)


def test_channels_are_a_multiple_of_the_heads() -> None:
    """9.4 channels of 2 heads are 4.7 each, so 5; the layer between has 37.6, so 38."""
    shapes = [tuple(site.weight.shape) for site in find_sites(made(width=9.4, depth=1))]  # pyright: ignore[reportArgumentType]
    assert shapes == [(30, 10), (10, 10), (38, 10), (10, 38)]


def test_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"model 'byte-transformer': input shape \(3, 8, 8\) does not fit: takes \(con"):
        create_model("byte-transformer", num_classes=7, input_shape=(3, 8, 8))


def test_a_network_must_predict_what_the_data_have() -> None:
    text, digits = describe("python-text", context=CONTEXT), describe("digits")
    flat = create_model("lenet-300-100", num_classes=256, input_shape=(CONTEXT,))
    said = "predicts one class for each sample, the data have a symbol at each place of a text"
    with pytest.raises(UserError, match=f"model 'lenet-300-100' does not fit Python's help: it {said}"):
        check_outputs("lenet-300-100", flat, text)
    check_outputs("lenet-300-100", create_model("lenet-300-100", num_classes=10, input_shape=(1, 8, 8)), digits)


def test_made_up_inputs_are_symbols() -> None:
    inputs = made_up_inputs(describe("python-text", context=64), 50)
    assert inputs.shape == (50, 64)
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, inputs.round())
    assert (inputs.min(), inputs.max()) == (0, 255)


def test_its_title() -> None:
    assert model_title("byte-transformer") == "Byte-transformer"
