"""Retrainings of one mask, and dense trainings that stop before their schedule ends. Real training on 300 digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.artifacts import load_masks, load_weights
from prunebench.benchmark.runs.run import Recipe, Run, derive_seed, frozen_options
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.training.harness import Interrupted, Watch, execute
from prunebench.benchmark.training.session import training_seed

RECIPE = Recipe(epochs=4, batch_size=50, lr=0.1, schedule="step", milestones=(2, 3))
DENSE = Run(
    dataset="digits", dataset_options=frozen_options({"limit": 300}), model="convnet-small", method="dense", seed=3,
    recipe=RECIPE,
)  # fmt: skip
PRUNED = replace(DENSE, method="layerwise_mp", sparsity=0.9, parent=DENSE)
AGAIN = replace(PRUNED, retrain_seed=1)


def computed(run: Run, results: Path) -> RunFolder:
    settings = Settings(results=results, keep_weights=True)
    for each in (run.parent, run):
        if each is not None:
            assert attempt(each, "s", settings).outcome == "done"
    return Store(results).folder("s", run)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    computed(PRUNED, results)
    computed(AGAIN, results)
    return results


def test_the_seed_without_retraining_is_what_it_was() -> None:
    assert training_seed(PRUNED) == derive_seed(3, "pruned")
    assert training_seed(DENSE) == derive_seed(3, "dense")
    assert len({training_seed(replace(PRUNED, retrain_seed=seed)) for seed in range(5)}) == 5


def test_retrainings_share_start_and_mask_and_nothing_else(shared: Path) -> None:
    first, second = (Store(shared).folder("s", run) for run in (PRUNED, AGAIN))
    one, other = first.read_result(), second.read_result()
    assert one is not None
    assert other is not None
    for key in ("before", "pruned"):
        assert one["accuracy"][key] == other["accuracy"][key]
    masks, others = (load_masks(folder.masks_path, None) for folder in (first, second))
    assert all(torch.equal(mask, others[name]) for name, mask in masks.items())
    weights, moved = (load_weights(folder.model_path, None) for folder in (first, second))
    assert all(not torch.equal(weights[name], moved[name]) for name in masks)
    assert first.history()[0]["train_loss"] != second.history()[0]["train_loss"]


def test_an_interrupted_retraining_ends_with_the_same_bits(shared: Path, tmp_path: Path) -> None:
    assert attempt(DENSE, "s", Settings(results=tmp_path)).outcome == "done"
    settings = Settings(results=tmp_path, keep_weights=True)
    epochs: list[object] = []
    with pytest.raises(Interrupted):
        execute(AGAIN, "s", settings, Watch(on_epoch=epochs.append, stop=lambda: len(epochs) == 2))
    resumed = computed(AGAIN, tmp_path)
    expected = load_weights(Store(shared).folder("s", AGAIN).model_path, None)
    assert all(torch.equal(value, expected[name]) for name, value in load_weights(resumed.model_path, None).items())


def test_a_training_that_stops_early_is_the_beginning_of_the_whole_one(shared: Path) -> None:
    stopped = replace(DENSE, recipe=replace(RECIPE, stop_epoch=2))
    assert stopped.id != DENSE.id
    folder = computed(stopped, shared)
    result = folder.read_result()
    assert result is not None
    assert result["cost"]["epochs"] == 2
    assert folder.history() == Store(shared).folder("s", DENSE).history()[:2]
    assert [epoch["lr"] for epoch in folder.history()] == [0.1, 0.1]
    # what starts from it counts its two epochs
    child = computed(replace(PRUNED, parent=stopped), shared).read_result()
    assert child is not None
    assert child["cost"]["parent"]["epochs"] == 2
    assert child["cost"]["epochs"] == 4
