"""Which parameters of a network the sparsity counts, the warning about others, and networks that are refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.models import registry
from prunebench.benchmark.models.macs_table import size_all
from prunebench.benchmark.models.outside import Sizes, count_parameters
from prunebench.benchmark.preflight import network_checks
from prunebench.benchmark.preflight.network_checks import check_runs, sizes_of
from prunebench.benchmark.preflight.networks import SIZES_TABLE, network_name, sizes_by_network, warnings
from prunebench.benchmark.runs.run import Recipe, Run
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class RowScale(nn.Module):
    """A parameter of the user's own, outside of any known layer."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.ones(8, 8))


class MyNormalisation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(8))


def speech() -> nn.Module:
    return nn.ModuleDict(
        {
            "embed": nn.Embedding(50, 8), "norm": nn.LayerNorm((8, 8)), "own": MyNormalisation(), "scale": RowScale(),
            "lstm": nn.LSTM(8, 4), "attend": nn.MultiheadAttention(8, 2, add_bias_kv=True), "head": nn.Linear(8, 3),
        }
    )  # fmt: skip


def test_each_parameter_is_prunable_a_bias_of_a_normalisation_or_named() -> None:
    sizes = count_parameters(speech())
    assert sizes.prunable == 16 * (8 + 4) + 3 * 64 + 64 + 24
    assert sizes.outside == {"Embedding.weight": 400, "RowScale.factors": 64}
    biases = 2 * 16 + 24 + 8 + 2 * 8 + 3
    normalisation = 2 * 64 + 8
    assert sizes.parameters == sizes.prunable + sizes.num_outside + biases + normalisation
    assert sizes.describe() == (
        "472 of 1,155 parameters are prunable; outside the count: Embedding.weight 400, RowScale.factors 64"
    )


def test_a_tied_embedding_is_inside_and_so_is_what_a_weight_is_computed_from() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(5, 4), "head": nn.Linear(4, 5), "normed": nn.Linear(4, 5)})
    model["embed"].weight = model["head"].weight
    parametrizations.weight_norm(model["normed"])
    sizes = count_parameters(model)
    assert (sizes.prunable, sizes.parameters, sizes.outside) == (40, 20 + 5 + 20 + 5 + 5, {})


def test_the_largest_are_named_and_the_others_summed() -> None:
    outside = {f"Kind{index}.weight": 100 * index for index in range(1, 8)}
    assert Sizes(prunable=1, parameters=3000, outside=outside).describe().endswith(
        "Kind7.weight 700, Kind6.weight 600, Kind5.weight 500, Kind4.weight 400, 3 more kinds 600"
    )  # fmt: skip


def test_a_warning_from_five_percent_on() -> None:
    assert Sizes(prunable=900, parameters=1000, outside={"Embedding.weight": 50}).warning() is None
    assert Sizes(prunable=900, parameters=1000, outside={"Embedding.weight": 51}).warning() == (
        "sparsity does not count 51 of 1,000 parameters (5%), which stay dense: Embedding.weight 51"
    )


def test_the_shipped_table_is_what_is_counted() -> None:
    assert json.loads(SIZES_TABLE.read_text(encoding="utf-8")) == size_all()


def run_of(method: str = "snip", **changes: Any) -> Run:
    given = {"dataset": "digits", "model": "convnet-small", "seed": 0, "recipe": Recipe(epochs=1), "sparsity": 0.9}
    return Run(**{**given, "method": method, **changes})


def test_networks_with_options_are_counted_and_others_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = run_of(model_options=(("width", 4),))
    found = sizes_by_network([run_of(), narrow, run_of(seed=1)])
    assert found == {
        "convnet-small on digits": Sizes(prunable=33_040, parameters=33_338, outside={}),
        'convnet-small {"width": 4} on digits': Sizes(prunable=2_212, parameters=2_294, outside={}),
    }
    assert warnings(found) == []
    monkeypatch.setattr(network_checks, "check_runs", lambda runs: pytest.fail("counted"))
    assert sizes_by_network([run_of()]) == {network_name(run_of()): found["convnet-small on digits"]}


class Small(nn.Module):
    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.middle = middle
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.middle(images.squeeze(1))).mean(1)


def given_network(monkeypatch: pytest.MonkeyPatch, model: nn.Module) -> None:
    monkeypatch.setattr(registry, "create_model", lambda name, **options: model)


def test_a_layer_that_a_method_cannot_prune_is_named_with_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    given_network(monkeypatch, Small(parametrizations.weight_norm(nn.Linear(8, 8))))
    assert check_runs([run_of("dense", sparsity=0.0), run_of("dense_longer", sparsity=0.0)])
    expected = r"method 'snip' at 90% on convnet-small: cannot prune layer 'middle.weight': .* WeightNorm"
    with pytest.raises(UserError, match=expected):
        check_runs([run_of("dense", sparsity=0.0), run_of()])
    assert check_runs([run_of("global_mp", method_options=(("dense", ("middle.*",)),))])
    with pytest.raises(UserError, match=r"method 'global_mp' at 90% on .*: dense: 'midle' matches no layer"):
        check_runs([run_of("global_mp", method_options=(("dense", ("midle",)),))])


def test_much_outside_the_count_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    given_network(monkeypatch, Small(nn.Embedding(100, 8)))
    assert warnings(sizes_of([run_of(), run_of(seed=1)])) == [
        "warning: convnet-small on digits: sparsity does not count 800 of 890 parameters (90%), which stay dense: "
        "Embedding.weight 800"
    ]


def test_a_network_without_anything_to_prune_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given_network(monkeypatch, nn.Embedding(100, 8))
    with pytest.raises(UserError, match="model 'convnet-small' has no weights that can be pruned"):
        check_runs([run_of()])


def test_checking_leaves_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    check_runs([run_of(), replace(run_of(), model="lenet-300-100")])
    assert torch.equal(torch.get_rng_state(), state)


def test_sizes_are_plain_data() -> None:
    assert Sizes(**json.loads(json.dumps(asdict(count_parameters(speech()))))) == count_parameters(speech())
