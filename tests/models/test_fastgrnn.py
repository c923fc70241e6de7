"""FastGRNN: the recurrence by hand, the published parameter table, and columns that have no effect any more."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.count_macs import count_macs
from prunebench.benchmark.models.fastgrnn import FastGrnn, FastGrnnCell, effective_parameters
from prunebench.benchmark.models.registry import create_model

WINDOW = (128, 9)


def har2(**options: Any) -> FastGrnn:
    torch.manual_seed(0)
    model = create_model("fastgrnn", num_classes=2, input_shape=WINDOW, **options)
    assert isinstance(model, FastGrnn)
    return model


def zero_columns(model: FastGrnn, rank_w: int, rank_u: int) -> None:
    """Keep the first columns of W1 and U1."""
    with torch.no_grad():
        model.cell.W1[:, rank_w:] = 0
        model.cell.U1[:, rank_u:] = 0


@pytest.mark.parametrize(
    ("rank_w", "rank_u", "parameters"), [(9, 80, 13_925), (9, 8, 2_405), (9, 7, 2_245), (8, 7, 2_156)]
)
def test_effective_parameters_are_the_published_ones(rank_w: int, rank_u: int, parameters: int) -> None:
    model = har2()
    zero_columns(model, rank_w, rank_u)
    assert model.cell.ranks_in_use() == (rank_w, rank_u)
    assert effective_parameters(model) == parameters
    built_small = har2(rank_w=rank_w, rank_u=rank_u)
    assert sum(parameter.numel() for parameter in built_small.parameters()) == parameters


def test_parts_of_the_dense_count() -> None:
    """801 for W, 12,800 for U, biases 160, two gates, classifier 162."""
    model = har2()
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert sizes["cell.W1"] + sizes["cell.W2"] == 801
    assert sizes["cell.U1"] + sizes["cell.U2"] == 12_800
    assert sizes["cell.bias_gate"] + sizes["cell.bias_update"] == 160
    assert sizes["cell.zeta"] + sizes["cell.nu"] == 2
    assert sizes["classifier.weight"] + sizes["classifier.bias"] == 162


def test_a_rank_is_inert_when_its_row_or_its_column_is_zero() -> None:
    model = har2()
    with torch.no_grad():
        model.cell.W1[:, 0] = 0
        model.cell.W2[0] = 0  # the same rank twice
        model.cell.W2[1] = 0
        model.cell.U1[3, 5] = 0  # one entry only
    assert model.cell.ranks_in_use() == (7, 80)
    assert effective_parameters(model) == 13_925 - 2 * (9 + 80)


def test_rows_behind_a_zero_column_do_not_matter() -> None:
    model = har2().eval()
    zero_columns(model, 8, 7)
    windows = torch.randn(4, *WINDOW)
    with torch.no_grad():
        before = model(windows)
        model.cell.W2[8:] = 100.0
        model.cell.U2[7:] = -100.0
        assert torch.equal(model(windows), before)
        model.cell.W2[7] += 1.0
        assert not torch.allclose(model(windows), before)


def test_two_steps_by_hand() -> None:
    cell = FastGrnnCell(inputs=1, hidden=1, rank_w=1, rank_u=1)
    values = {"W1": 0.5, "W2": 2.0, "U1": -1.0, "U2": 0.5, "bias_gate": 0.1, "bias_update": -0.2}
    with torch.no_grad():
        for name, value in values.items():
            getattr(cell, name).fill_(value)

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    zeta, nu = sigmoid(1.0), sigmoid(-4.0)
    gate, candidate = sigmoid(3.0 + 0.1), math.tanh(3.0 - 0.2)
    first = (zeta * (1 - gate) + nu) * candidate
    shared = -2.0 - 0.5 * first
    gate, candidate = sigmoid(shared + 0.1), math.tanh(shared - 0.2)
    second = gate * first + (zeta * (1 - gate) + nu) * candidate
    for windows, expected in (([[[3.0]]], first), ([[[3.0], [-2.0]]], second)):
        assert cell(torch.tensor(windows)).item() == pytest.approx(expected, abs=2e-7)
        assert copy.deepcopy(cell).double()(torch.tensor(windows).double()).item() == pytest.approx(expected, rel=1e-6)


def test_initial_values_are_the_authors() -> None:
    cell = har2().cell
    assert torch.sigmoid(cell.zeta).item() == pytest.approx(0.7311, abs=5e-5)
    assert torch.sigmoid(cell.nu).item() == pytest.approx(0.0180, abs=5e-5)
    assert cell.bias_gate.unique().tolist() == cell.bias_update.unique().tolist() == [1.0]


def test_nonlinearities_are_options() -> None:
    windows = torch.randn(2, *WINDOW)
    outputs = [
        har2(**options)(windows) for options in ({}, {"gate": "tanh"}, {"update": "relu"}, {"update": "sigmoid"})
    ]
    for index, output in enumerate(outputs):
        assert not any(torch.allclose(output, other) for other in outputs[:index])


def test_every_parameter_learns() -> None:
    model = har2()
    torch.nn.functional.cross_entropy(model(torch.randn(8, *WINDOW)), torch.arange(8) % 2).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, name


def test_the_factors_and_the_classifier_are_prunable() -> None:
    sites = find_sites(har2())
    assert [site.name for site in sites] == ["cell.W1", "cell.W2", "cell.U1", "cell.U2", "classifier.weight"]
    assert sum(site.weight.numel() for site in sites) == 801 + 12_800 + 160


def test_macs_are_one_use_of_each_weight_a_time_step() -> None:
    assert count_macs(har2(), WINDOW) == {
        "cell.W1": 128 * 81,
        "cell.W2": 128 * 720,
        "cell.U1": 128 * 6_400,
        "cell.U2": 128 * 6_400,
        "classifier.weight": 160,
    }


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"rank_w": 0}, "model 'fastgrnn': rank_w is 0; it must be an integer >= 1"),
        ({"hidden": 8.5}, "hidden is 8.5; it must be an integer >= 1"),
        ({"gate": "softsign"}, "gate is 'softsign'; it must be one of relu, sigmoid, tanh"),
    ],
)
def test_options_are_checked(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        har2(**options)
