"""A network of bytes in the harness: every kind of method prunes it exactly, and its measure is bits per byte."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.analysis.frame import result_columns
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.preflight.rehearsal import rehearse
from prunebench.benchmark.runs.artifacts import load_weights
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.training.result import summarize_accuracy
from prunebench.datasets.registry import load
from torch.nn.functional import cross_entropy

TEXT = b"the quick brown fox jumps over the lazy dog; 0123456789 times. " * 80
OPTIONS: dict[str, Any] = {"path": "fox.txt", "context": 16}
NETWORK: dict[str, Any] = {"depth": 1, "width": 16, "heads": 2}
PRUNABLE = 12 * 16**2
DENSE = Run(
    dataset="text",
    dataset_options=frozen_options(OPTIONS),
    model="byte-transformer",
    model_options=frozen_options(NETWORK),
    method="dense",
    seed=0,
    recipe=Recipe(
        epochs=1, batch_size=32, lr=1e-2, optimizer="adamw", weight_decay=0.1, warmup_epochs=1, clip_norm=1.0
    ),
    validation=0.1,
)
AT_ONCE = replace(DENSE.recipe, epochs=0, warmup_epochs=0)
METHODS: list[tuple[str, bool, dict[str, Any]]] = [
    ("global_mp", True, {}), ("wanda", True, {}), ("wanda", True, {"pattern": "n:m"}), ("sparsegpt", True, {}),
    ("alps", True, {}), ("obc", True, {}), ("woodfisher", True, {}), ("snip", False, {}), ("grasp", False, {}),
    ("synflow", False, {}), ("rigl", False, {"distribution": "uniform"}), ("gmp", False, {}), ("snfs", False, {}),
]  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the dense training that runs start from, beside its text."""
    place = tmp_path_factory.mktemp("results")
    (place / "fox.txt").write_bytes(TEXT)
    ending = attempt(DENSE, "study", Settings(results=place, data_root=place))
    assert ending.outcome == "done", ending.reason
    return place


def result_of(run: Run, results: Path) -> dict[str, Any]:
    ending = attempt(run, "study", Settings(results=results, data_root=results))
    assert ending.outcome == "done", ending.reason
    result = Store(results).folder("study", run).read_result()
    assert result is not None
    return result


@pytest.mark.parametrize(("method", "starts_dense", "options"), METHODS)
def test_methods_prune_a_network_of_bytes(
    method: str, starts_dense: bool, options: dict[str, Any], results: Path
) -> None:
    """SynFlow's input of ones is the byte 1 at each place. Half of 3,072 weights, or of each row for N:M."""
    recipe = AT_ONCE if starts_dense else DENSE.recipe
    run = replace(DENSE, method=method, sparsity=0.5, recipe=recipe, parent=DENSE if starts_dense else None,
                  method_options=frozen_options(options))  # fmt: skip
    result = result_of(run, results)
    assert result["sparsity"]["prunable"] == PRUNABLE
    assert result["sparsity"]["kept"] == num_kept(PRUNABLE, 0.5)
    assert result["sparsity"]["outside"] == {"Embedding.weight": 16 * (256 + 16)}
    assert math.isfinite(result["loss"]["last"])


@pytest.mark.parametrize(("method", "inputs"), [("ntk_sap", "Gaussian noise"), ("px", "squares of its inputs")])
def test_methods_that_make_up_numbers_are_refused_before_anything_runs(method: str, inputs: str) -> None:
    run = replace(DENSE, dataset="python-text", dataset_options=(), method=method, sparsity=0.5)
    with pytest.raises(UserError, match=rf"looks symbols up \('symbols'\), and the method gives it {inputs}"):
        rehearse([run])


def test_the_loss_is_the_mean_over_all_bytes_of_the_test(results: Path) -> None:
    result = Store(results).folder("study", DENSE).read_result()
    assert result is not None
    data = load("text", root=results, **OPTIONS)
    model = create_model("byte-transformer", num_classes=256, input_shape=(16,), **NETWORK).eval()
    folder = Store(results).folder("study", DENSE)
    model.load_state_dict(load_weights(folder.model_path, result["files"][folder.model_path.name]))
    inputs, targets = data.test.sample(torch.arange(len(data.test)), device=torch.device("cpu"))
    with torch.no_grad():
        logits = model(inputs)
    loss = cross_entropy(logits, targets).item()
    assert result["loss"]["last"] == pytest.approx(loss, rel=1e-5)
    assert result["accuracy"]["last"] == pytest.approx((logits.argmax(1) == targets).float().mean().item(), abs=1e-6)
    columns = result_columns(result)
    assert columns["bits_last"] == pytest.approx(loss / math.log(2), rel=1e-5)
    assert columns["bits_last"] == columns["bits_selected"]
    assert columns["macs_dense"] == 16 * PRUNABLE
    assert columns["macs_products"] == 2 * 16**2 * 16
    assert result["data"]["facts"]["num_symbols"] == 256


def test_a_run_on_images_has_no_bits() -> None:
    from synthetic_results import make_result

    run = replace(DENSE, dataset="digits", dataset_options=(), model="convnet-small", model_options=())
    assert not [name for name in result_columns(make_result("study", run, 0.9)) if name.startswith("bits")]


def epoch(number: int, **values: float | None) -> dict[str, Any]:
    return {"epoch": number, "density": 1.0, "test_top5": None, **values}


def test_validation_chooses_the_epoch_of_the_least_loss() -> None:
    """Of a text; otherwise that of the best accuracy. A loss that is not finite is never chosen."""
    history = [
        epoch(0, validation_accuracy=0.3, validation_loss=1.5, test_accuracy=0.25, test_loss=1.6),
        epoch(1, validation_accuracy=0.4, validation_loss=2.0, test_accuracy=0.35, test_loss=2.1),
        epoch(2, validation_accuracy=0.1, validation_loss=None, test_accuracy=0.05, test_loss=None),
    ]
    end = {"accuracy": 0.05, "top5": None, "loss": 3.0}
    text = summarize_accuracy(history, end, end, end, has_validation=True, by_loss=True)
    images = summarize_accuracy(history, end, end, end, has_validation=True)
    assert (text["accuracy"]["selected"], text["accuracy"]["selected_epoch"]) == (0.25, 0)
    assert text["loss"] == {"before": 3.0, "pruned": 3.0, "last": 3.0, "selected": 1.6}
    assert (images["accuracy"]["selected"], images["accuracy"]["selected_epoch"]) == (0.35, 1)
    assert images["loss"] == {"before": 3.0, "pruned": 3.0, "last": 3.0}


def test_without_epochs_the_one_network_is_selected() -> None:
    end = {"accuracy": 0.5, "top5": None, "loss": 2.0}
    assert summarize_accuracy([], end, end, end, True, by_loss=True)["loss"]["selected"] == 2.0
    assert summarize_accuracy([], end, end, end, False, by_loss=True)["loss"]["selected"] is None
