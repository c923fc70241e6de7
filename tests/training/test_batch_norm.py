"""Statistics of batch norm estimated anew: what they are, and runs whose recipe asks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.preflight.rehearsal import rehearse
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.training.batch_norm import estimate_batch_norm
from prunebench.benchmark.training.harness import Watch, execute
from prunebench.benchmark.training.linear_path import interpolated
from torch import Tensor, nn

RECIPE = Recipe(epochs=1, batch_size=64)
CPU = torch.device("cpu")


def batches(inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(part, torch.zeros(len(part), dtype=torch.int64)) for part in inputs.split(64)]


def weighted(weight: float) -> nn.Sequential:
    """y = BN(w x)."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(cast(Tensor, model[0].weight), weight)
    return model.eval()


def test_statistics_are_those_of_the_network_between() -> None:
    """At a weight of 0.4 inputs of -1 and 1 leave batch norm as -1 and 1, whatever the ends' statistics are.

    torch keeps the unbiased variance, twice the biased one for two samples: hence the root of two.
    """
    inputs = torch.tensor([[-1.0], [1.0]])
    state = interpolated(weighted(1).state_dict(), weighted(-1).state_dict(), 0.3)
    model = weighted(0)
    model.load_state_dict(state)
    assert model(inputs).flatten().tolist() == pytest.approx([-0.4, 0.4], abs=1e-4)
    estimate_batch_norm(model, batches(inputs), RECIPE, CPU)
    assert model(inputs).flatten().tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5], abs=1e-4)
    assert not any(module.training for module in model.modules())


def test_each_batch_counts_by_its_samples() -> None:
    inputs = torch.arange(100.0)[:, None]
    model = weighted(1)
    estimate_batch_norm(model, batches(inputs), RECIPE, CPU)
    norm = cast(nn.BatchNorm1d, model[1])
    assert norm.running_mean is not None
    assert float(norm.running_mean) == pytest.approx(49.5, abs=1e-4)
    assert norm.momentum == 0.1


def test_statistics_leave_dropout_and_other_modes_alone() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5), nn.BatchNorm1d(1)).train()
    model[0].eval()
    random = torch.random.get_rng_state()
    estimate_batch_norm(model, batches(torch.randn(8, 1, generator=torch.Generator().manual_seed(0))), RECIPE, CPU)
    assert [module.training for module in model] == [False, True, True]
    assert torch.equal(torch.random.get_rng_state(), random)


def test_a_batch_of_one_sample_has_no_statistics() -> None:
    with pytest.raises(UserError, match="a batch of at least 2 samples"):
        estimate_batch_norm(weighted(1), batches(torch.zeros(1, 1)), RECIPE, CPU)


DENSE = Run(
    dataset="digits", model="resnet-8", method="dense", seed=0, recipe=Recipe(epochs=2, batch_size=64, lr=0.1),
    dataset_options=frozen_options({"limit": 300}),
)  # fmt: skip


def result(root: Path, method: str, recalibrate_bn: int, epochs: int = 0, **options: Any) -> dict[str, Any]:
    settings = Settings(results=root, device="cpu")
    if not (root / "study" / "runs" / DENSE.id / "result.json").exists():
        execute(DENSE, "study", settings, Watch())
    recipe = Recipe(epochs=epochs, batch_size=64, lr=0.01, recalibrate_bn=recalibrate_bn)
    run = replace(
        DENSE, method=method, recipe=recipe, sparsity=0.8, method_options=frozen_options(options), parent=DENSE
    )
    return execute(run, "study", settings, Watch())


@pytest.mark.parametrize("method", ["global_mp", "wanda"])
def test_recalibration_changes_what_was_pruned_and_nothing_else(tmp_path: Path, method: str) -> None:
    """No epoch is trained: the network as it was pruned is the last, the selected and the best."""
    off, on = result(tmp_path, method, 0), result(tmp_path, method, 4)
    again = result(tmp_path, method, 4)
    assert off["accuracy"]["last"] == off["accuracy"]["pruned"] != on["accuracy"]["last"] == on["accuracy"]["pruned"]
    assert on["accuracy"] == again["accuracy"]
    assert off["accuracy"]["before"] == on["accuracy"]["before"]
    assert [layer["kept"] for layer in off["layers"]] == [layer["kept"] for layer in on["layers"]]
    assert on["accuracy"]["selected"] == on["accuracy"]["best_test"] == on["accuracy"]["last"]
    assert (on["accuracy"]["selected_epoch"], on["cost"]["epochs"]) == (None, 0)


def test_recalibration_of_a_network_without_batch_norm_is_refused() -> None:
    run = replace(DENSE, model="lenet-300-100", recipe=replace(DENSE.recipe, recalibrate_bn=16))
    with pytest.raises(UserError, match="recalibrate_bn is 16; the network has no batch norm with statistics"):
        rehearse([run])


def test_the_default_is_no_part_of_an_id() -> None:
    assert replace(DENSE, recipe=replace(DENSE.recipe, recalibrate_bn=0)).id == DENSE.id
    assert replace(DENSE, recipe=replace(DENSE.recipe, recalibrate_bn=16)).id != DENSE.id
