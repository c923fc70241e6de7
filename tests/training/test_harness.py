"""One run to one result: exactness, determinism, resume. Real training on 300 digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.artifacts import load_masks, load_weights
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.training.harness import Interrupted, Watch, execute

RECIPE = Recipe(epochs=4, batch_size=50, lr=0.1, nesterov=True, weight_decay=5e-4, lr_update="step")
DENSE = Run(
    dataset="digits",
    dataset_options=frozen_options({"limit": 300}),
    model="convnet-small",
    method="dense",
    seed=3,
    recipe=RECIPE,
)


def pruned(method: str, sparsity: float = 0.9, parent: Run | None = DENSE, **options: Any) -> Run:
    return replace(DENSE, method=method, sparsity=sparsity, method_options=frozen_options(options), parent=parent)


def compute(run: Run, results: Path, **settings: Any) -> dict[str, Any]:
    """Compute the parent and then the run through `attempt`, as every launcher does."""
    chosen = Settings(results=results, **settings)
    if run.parent is not None:
        assert attempt(run.parent, "s", chosen).outcome == "done"
    ending = attempt(run, "s", chosen)
    assert ending.outcome == "done", ending
    result = folder(run, results).read_result()
    assert result is not None
    return result


def folder(run: Run, results: Path) -> RunFolder:
    return Store(results).folder("s", run)


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """The parts of a result that are equal bit for bit if the same run is computed again on the same machine."""
    cost = {key: result["cost"][key] for key in ("epochs", "macs", "sparse_macs")}
    return {**{key: result[key] for key in ("accuracy", "loss", "sparsity", "macs", "layers", "data")}, "cost": cost}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the dense training and one pruned run."""
    results = tmp_path_factory.mktemp("results")
    compute(pruned("global_mp"), results)
    return results


def test_a_result_holds_what_it_must(shared: Path) -> None:
    result = compute(pruned("global_mp"), shared)
    accuracy, sparsity = result["accuracy"], result["sparsity"]
    total = sparsity["prunable"]
    assert sparsity["kept"] == num_kept(total, 0.9)
    assert sparsity["kept"] == sum(layer["kept"] for layer in result["layers"])
    assert result["macs"]["sparse"] == pytest.approx(sum(x["macs"] * x["kept"] / x["total"] for x in result["layers"]))
    for key in ("before", "pruned", "last", "selected", "best_test"):
        assert accuracy[key] * result["data"]["test"] == pytest.approx(round(accuracy[key] * result["data"]["test"]))
    assert accuracy["best_test"] >= max(accuracy["last"], accuracy["selected"])
    assert result["parent"] == DENSE.id
    assert result["cost"]["parent"]["epochs"] == 4
    assert result["cost"]["macs"] == 3 * result["macs"]["dense"] * result["data"]["train"] * 4
    assert result["provenance"]["packages"]["torch"]
    masks = load_masks(folder(pruned("global_mp"), shared).masks_path, None)
    assert sum(int(mask.sum()) for mask in masks.values()) == sparsity["kept"]


@pytest.mark.parametrize("method", ["snip", "iterative_snip", "force", "grasp"])
def test_scores_of_a_rest_of_one_sample_are_computed_with_batch_norm(method: str, tmp_path: Path) -> None:
    """The network's last feature maps have one pixel, so batch norm has no variance for a single sample."""
    options = (
        {"samples_per_class": 5, "score_batch": 7} if method == "grasp" else {"score_samples": 8, "score_batch": 7}
    )
    run = replace(
        pruned(method, parent=None, **options),
        model_options=frozen_options({"stem_stride": 4}),
        recipe=replace(RECIPE, epochs=1),
    )
    assert compute(run, tmp_path)["sparsity"]["achieved"] == pytest.approx(0.9, abs=1e-4)
    single = replace(run, method_options=frozen_options({**options, "score_batch": 1}))
    ending = attempt(single, "s", Settings(results=tmp_path))
    assert (ending.outcome, ending.retryable) == ("failed", False)
    assert ending.reason.startswith("UserError: a scoring batch of one sample has no batch statistics")


def test_pruning_starts_from_the_dense_weights(shared: Path) -> None:
    dense = folder(DENSE, shared).read_result()
    assert dense is not None
    assert compute(pruned("global_mp"), shared)["accuracy"]["before"] == dense["accuracy"]["last"]
    # at a sparsity of 0 nothing changes, and fine-tuning for no epoch keeps the network as it is
    unpruned = replace(pruned("global_mp", 0.0), recipe=replace(RECIPE, epochs=0))
    assert compute(unpruned, shared)["accuracy"]["last"] == dense["accuracy"]["last"]


def test_masks_are_those_of_the_dense_weights(shared: Path) -> None:
    weights = load_weights(folder(DENSE, shared).model_path, None)
    masks = load_masks(folder(pruned("global_mp"), shared).masks_path, None)
    removed = torch.cat([weights[name][~mask].abs() for name, mask in masks.items()])
    kept = torch.cat([weights[name][mask].abs() for name, mask in masks.items()])
    assert removed.max() <= kept.min()


def test_the_same_run_gives_the_same_bits(shared: Path, tmp_path: Path) -> None:
    again = compute(pruned("global_mp"), tmp_path)
    assert comparable(again) == comparable(compute(pruned("global_mp"), shared))
    first, second = (load_weights(folder(DENSE, path).model_path, None) for path in (shared, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert folder(pruned("global_mp"), tmp_path).history() == folder(pruned("global_mp"), shared).history()


def test_another_seed_gives_another_result(shared: Path) -> None:
    other = replace(DENSE, seed=4)
    compute(other, shared)
    first, second = (load_weights(folder(run, shared).model_path, None) for run in (DENSE, other))
    assert not torch.equal(first["classifier.weight"], second["classifier.weight"])


@pytest.mark.parametrize(
    "run",
    [
        DENSE,
        pruned("global_mp"),
        pruned("snip", parent=None),
        pruned("global_mp", parent=None, start="init", schedule="cubic"),
    ],
    ids=["dense", "one-shot", "from initialisation", "gradual"],
)
@pytest.mark.parametrize("stop_after", [1, 3])
def test_an_interrupted_run_resumes_to_the_same_bits(run: Run, stop_after: int, shared: Path, tmp_path: Path) -> None:
    """Momentum, dropout and data order continue as without the interruption."""
    expected = compute(run, shared, keep_weights=True)
    settings = Settings(results=tmp_path, keep_weights=True)
    if run.parent is not None:
        assert attempt(run.parent, "s", settings).outcome == "done"
    epochs = iter(range(1, 100))
    folder(run, tmp_path).path.mkdir(parents=True, exist_ok=True)
    with pytest.raises(Interrupted):
        execute(run, "s", settings, Watch(stop=lambda: next(epochs) == stop_after))
    resumed = compute(run, tmp_path, keep_weights=True)
    assert comparable(resumed) == comparable(expected)
    assert resumed["cost"]["resumed"] == 1
    assert folder(run, tmp_path).history() == folder(run, shared).history()
    assert not folder(run, tmp_path).checkpoint_path.exists()


def test_dropout_is_drawn_anew_and_resumes(tmp_path: Path) -> None:
    run = replace(DENSE, model="lenet-300-100", recipe=replace(RECIPE, epochs=2, optimizer="adam", lr=0.001))
    result = compute(run, tmp_path / "a")
    epochs = iter(range(1, 100))
    folder(run, tmp_path / "b").path.mkdir(parents=True)
    with pytest.raises(Interrupted):
        execute(run, "s", Settings(results=tmp_path / "b"), Watch(stop=lambda: next(epochs) == 1))
    assert comparable(compute(run, tmp_path / "b")) == comparable(result)


def test_methods_share_initialisation_and_order(tmp_path: Path) -> None:
    """Paired comparison: at a sparsity of 0, SNIP from initialisation is dense training."""
    dense = compute(DENSE, tmp_path)
    snip = compute(pruned("snip", 0.0, parent=None), tmp_path)
    assert snip["accuracy"]["last"] == dense["accuracy"]["last"]
    assert snip["loss"]["last"] == dense["loss"]["last"]


def test_gradual_pruning_counts_only_epochs_at_the_final_sparsity(tmp_path: Path) -> None:
    run = replace(
        pruned("global_mp", 0.95, parent=None, start="init", schedule="cubic", end=0.75),
        recipe=replace(RECIPE, epochs=8),
    )
    result = compute(run, tmp_path)
    history = folder(run, tmp_path).history()
    densities = [record["density"] for record in history]
    assert densities == sorted(densities, reverse=True)
    assert densities[0] > 0.5
    final = num_kept(33040, 0.95) / 33040
    assert densities[-1] == final
    first_at_target = densities.index(final)
    assert result["accuracy"]["best_test_epoch"] >= first_at_target
    assert result["accuracy"]["selected_epoch"] >= first_at_target
    assert result["cost"]["sparse_macs"] < result["cost"]["macs"]


def test_collapse_is_reported_not_hidden(shared: Path) -> None:
    result = compute(pruned("global_mp", 0.9999), shared)
    assert result["sparsity"]["kept"] == num_kept(33040, 0.9999)
    assert result["sparsity"]["empty_layers"]
    assert result["sparsity"]["smallest_layer_density"] == 0.0


def test_divergence_is_recorded_with_its_reason(tmp_path: Path) -> None:
    run = replace(DENSE, recipe=replace(RECIPE, lr=1e30))
    ending = attempt(run, "s", Settings(results=tmp_path))
    assert ending.outcome == "failed"
    assert "Diverged: training loss is" in ending.reason
    status = folder(run, tmp_path).status()
    assert (status.state, status.retryable) == ("failed", False)
    assert status.reason == ending.reason


@pytest.mark.parametrize("split", [0.0, 0.3])
def test_selection_needs_a_validation_split(split: float, tmp_path: Path) -> None:
    run = replace(DENSE, validation=split, recipe=replace(RECIPE, epochs=1))
    accuracy = compute(run, tmp_path)["accuracy"]
    assert (accuracy["selected"] is None) == (split == 0.0)
    assert accuracy["last"] is not None


def test_the_test_set_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other test labels change no choice and no weight."""
    from prunebench.benchmark.training import run_data

    run = pruned("snip", parent=None)
    expected = compute(run, tmp_path / "a", keep_weights=True)
    read = run_data._read.__wrapped__  # past the cache, which may hold data of other tests

    def shuffled(*args: Any) -> Any:
        data = read(*args)
        batches = data.test.batches

        def with_wrong_labels(*a: Any, **k: Any) -> Any:
            for inputs, targets in batches(*a, **k):
                yield inputs, (targets + 1) % data.num_classes

        object.__setattr__(data.test, "batches", with_wrong_labels)
        return data

    monkeypatch.setattr(run_data, "_read", shuffled)
    other = compute(run, tmp_path / "b", keep_weights=True)
    assert other["accuracy"]["last"] != expected["accuracy"]["last"]
    assert other["accuracy"]["selected_epoch"] == expected["accuracy"]["selected_epoch"]
    first, second = (load_weights(folder(run, tmp_path / x).model_path, None) for x in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_start_from_a_weights_file_is_a_dense_run_of_no_epoch(shared: Path, tmp_path: Path) -> None:
    """Its accuracy is that of the weights, and runs that start from it have the same accuracy before pruning."""
    trained = folder(DENSE, shared)
    start = replace(
        DENSE,
        model_options=frozen_options({"weights": str(trained.model_path)}),
        recipe=replace(RECIPE, epochs=0),
    )
    expected = trained.read_result()
    assert expected is not None
    assert compute(start, tmp_path)["accuracy"]["last"] == expected["accuracy"]["last"]
    child = replace(pruned("global_mp"), model_options=start.model_options, parent=start)
    assert compute(child, tmp_path)["accuracy"]["before"] == expected["accuracy"]["last"]


def test_top5_is_recorded_for_more_than_ten_classes(tmp_path: Path) -> None:
    run = replace(
        DENSE,
        dataset="synthetic",
        dataset_options=frozen_options({"like": "cifar100", "num_samples": 400, "num_test": 100}),
        model="resnet-20",
        recipe=replace(RECIPE, epochs=1),
    )
    accuracy = compute(run, tmp_path)["accuracy"]
    assert accuracy["last"] <= accuracy["last_top5"] <= 1.0


def test_plain_recipes_through_a_study_file(tiny_study: Path, tmp_path: Path) -> None:
    study = load_study(str(tiny_study))
    for run in study.runs:
        compute(run, tmp_path / "results")
    assert len(list((tmp_path / "results" / "dense").iterdir())) == 1


def test_both_passes_of_a_step_count(tmp_path: Path) -> None:
    result = compute(pruned("safe", parent=None, norm_samples=0), tmp_path)
    assert result["cost"]["macs"] == 2 * 3 * result["macs"]["dense"] * result["data"]["train"] * 4
