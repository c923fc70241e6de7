"""Sparse products give what the dense layers do, and are used where the weights allow it."""

from __future__ import annotations

import pytest
import torch
from prunebench.benchmark.latency.csr import DENSITIES, CsrLinear, measure_shape, pays_from, put_csr, sparse_linears
from prunebench.benchmark.latency.semi_structured import (
    is_two_of_four,
    put_two_of_four,
    two_of_four_linears,
    why_not,
)
from prunebench.benchmark.latency.sizes import file_bytes, packed_bytes
from torch import Tensor, nn


def network(*, bias: bool = True) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(64, 32, bias=bias), nn.ReLU(), nn.Linear(32, 8, bias=bias))
    with torch.no_grad():
        model[0].weight[:, 2::4] = 0
        model[0].weight[:, 3::4] = 0
    return model


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 64), (5, 64), (2, 3, 64)])
def test_a_csr_layer_gives_what_the_dense_one_does(bias: bool, shape: tuple[int, ...]) -> None:
    layer, inputs = network(bias=bias)[0], torch.randn(*shape)
    with torch.inference_mode():
        torch.testing.assert_close(CsrLinear(layer)(inputs), layer(inputs))


def test_only_layers_with_zeros_are_replaced() -> None:
    model = network()
    assert sparse_linears(model) == ["0"]
    changed = put_csr(model)
    assert [type(layer) for layer in changed.children()] == [CsrLinear, nn.ReLU, nn.Linear]
    assert changed.get_submodule("0").weight.values().numel() == 32 * 32  # pyright: ignore


def test_products_are_measured_at_each_density() -> None:
    found = measure_shape((16, 24), batch=2, repeats=3)
    assert (found["shape"], found["batch"]) == ([16, 24], 2)
    assert [point["density"] for point in found["points"]] == list(DENSITIES)
    assert found["pays_from"] == pays_from(found["points"])


@pytest.mark.parametrize(
    ("csr", "expected"),
    [
        ({0.5: 3.0, 0.2: 1.5, 0.1: 0.5}, 0.1),
        ({0.5: 0.9, 0.2: 0.5, 0.1: 0.2}, 0.5),
        ({0.5: 3.0, 0.2: 2.0, 0.1: 1.0}, None),
        # faster at one density by chance, slower below it
        ({0.5: 0.9, 0.2: 1.2, 0.1: 0.5}, 0.1),
    ],
)
def test_csr_pays_from_the_largest_density_below_which_it_is_always_faster(
    csr: dict[float, float], expected: float | None
) -> None:
    points = [{"density": density, "dense": 1.0, "csr": value} for density, value in csr.items()]
    assert pays_from(points) == expected


def weight(*zeros: int, rows: int = 32) -> Tensor:
    """Ones of 64 columns, with zeros in these columns of each four."""
    values = torch.ones(rows, 16, 4)
    values[..., list(zeros)] = 0
    return values.view(rows, 64)


def test_two_of_four_asks_for_the_pattern_and_the_shape_of_the_kernels() -> None:
    assert is_two_of_four(weight(0, 3))
    assert is_two_of_four(weight(0, 1, 2))
    assert not is_two_of_four(weight(0))
    almost = weight(0, 3)
    almost[-1, -1] = 1
    assert not is_two_of_four(almost)
    assert not is_two_of_four(weight(0, 3, rows=30))
    assert not is_two_of_four(weight(0, 3)[:, :60])
    assert two_of_four_linears(network()) == ["0"]
    assert why_not(network(), torch.device("cpu")) == "float16 and 2:4 kernels are measured on an NVIDIA GPU"


def test_packed_are_a_bit_for_each_weight_and_the_values() -> None:
    dense, sparse = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
    with torch.no_grad():
        sparse.weight.view(-1)[: 64 * 64 * 7 // 8] = 0
    assert file_bytes(dense) == file_bytes(sparse) == packed_bytes(dense)
    # 512 values of four bytes and 4,096 bits, and a header of some hundred letters
    assert 0 < packed_bytes(sparse) - (4 * 512 + 512) < 300


def test_layers_of_the_pattern_are_compressed_in_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch compresses on a GPU only, so a stand-in says which weights it is given."""
    given: list[Tensor] = []

    def compress(weight: Tensor) -> Tensor:
        given.append(weight)
        return weight

    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", compress)
    changed = put_two_of_four(network())
    assert [(tuple(each.shape), each.dtype) for each in given] == [((32, 64), torch.float16)]
    assert {each.dtype for each in changed.parameters()} == {torch.float16}
