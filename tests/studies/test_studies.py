"""The studies of the paper: their recipes are those of the supplement, and their grids run from end to end."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

import pytest
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study, study_names
from prunebench.benchmark.studies.plan import with_parents

TABLES = range(2, 9)


def recipes() -> list[dict[str, str]]:
    text = (resources.files("prunebench.results.published") / "recipes.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("row", recipes(), ids=lambda row: f"{row['table']} {row['stage']} {row['sparsity_pct']}")
def test_recipes_are_those_of_the_paper(row: dict[str, str]) -> None:
    """Every hyper-parameter printed in the supplement is set in the run that it belongs to."""
    study = load_study(f"table{row['table']}")
    if row["stage"] == "train":
        candidates = [run for run in study.runs if run.is_dense]
    else:
        sparsity = round(float(row["sparsity_pct"] or 0) / 100, 12)
        candidates = [run for run in study.runs if run.method.startswith("global_mp") and run.sparsity == sparsity]
        if "gradual" in row["stage"]:
            candidates = [run for run in candidates if run.parent is None]
        elif "one-shot" in row["stage"]:
            candidates = [run for run in candidates if run.parent is not None]
        if "mt" in row["stage"]:
            candidates = [run for run in candidates if "minimum_threshold" in dict(run.method_options)]
        elif row["table"] in ("5", "8"):
            candidates = [run for run in candidates if "minimum_threshold" not in dict(run.method_options)]
        if "rank" in row["stage"]:
            rank_w, rank_u = (int(part) for part in row["stage"].split("rank ")[1].rstrip(")").split())
            wanted = {"rank_w": rank_w, "rank_u": rank_u}
            defaults = {"rank_w": 9, "rank_u": 8}
            candidates = [
                run for run in candidates if {**defaults, **dict(run.method_options)}.items() >= wanted.items()
            ]
    assert candidates
    for run in candidates:
        recipe = run.recipe
        assert recipe.epochs == int(row["epochs"])
        assert recipe.batch_size == int(row["batch_size"])
        assert recipe.optimizer == row["optimizer"]
        assert recipe.lr == float(row["lr"])
        if row["optimizer"] == "sgd":
            assert recipe.momentum == float(row["momentum"])
            assert recipe.weight_decay == float(row["weight_decay"])
            assert recipe.warmup_epochs == int(row["warmup_epochs"])
            assert recipe.nesterov == (row["nesterov"] == "true")
            assert recipe.label_smoothing == float(row["label_smoothing"] or 0)
            shape = row["schedule"].split()
            assert recipe.schedule == shape[0]
            if shape[0] == "step":
                assert (recipe.step_epochs, recipe.step_factor) == (int(shape[1]), float(shape[2].lstrip("x")))


@pytest.mark.parametrize("table", TABLES)
def test_every_sparsity_and_method_of_the_table_is_in_its_study(table: int) -> None:
    if table == 6:
        labels = load_study("table6").labels
        assert sum("Global MP" in label for label in labels) == 4  # one more with clipped gradients
        assert sum("Vanilla" in label for label in labels) == 3
        return
    text = (resources.files("prunebench.results.published") / "published.csv").read_text(encoding="utf-8")
    printed = [
        row for row in csv.DictReader(text.splitlines()) if row["table"] == str(table) and row["method"] != "dense"
    ]
    rows = load_study(f"table{table}").rows
    for row in printed:
        wanted = float(row["sparsity_pct"]) / 100
        # rows whose printed sparsity counts layers left dense or is self-chosen lie within a few points of the target
        tolerance = 1e-9 if row["method"] == "global_mp" else 0.08
        methods = {row["method"], "snfs"} if row["variant"] == "erk" else {row["method"]}
        assert any(r.method in methods and abs(r.sparsity - wanted) <= tolerance for r in rows), row


def test_three_seeds_for_cifar_and_one_for_imagenet() -> None:
    for table in TABLES:
        study = load_study(f"table{table}")
        assert study.file.seeds == ([0] if study.file.dataset.name == "imagenet" else [0, 1, 2])


def test_every_study_of_the_suite_is_valid() -> None:
    for name in study_names():
        assert load_study(name).name == name


@pytest.mark.parametrize("table", TABLES)
def test_the_smoke_version_has_the_same_grid_and_runs_to_the_end(table: int, tmp_path: Path) -> None:
    full, smoke = load_study(f"table{table}"), load_study(f"table{table}-smoke")
    assert {(row.label, row.sparsity) for row in full.rows} == {(row.label, row.sparsity) for row in smoke.rows}
    settings = Settings(results=tmp_path)
    first_seed = [run for run in smoke.runs if run.seed == 0]
    for run in with_parents(first_seed):
        ending = attempt(run, smoke.name, settings)
        assert ending.outcome == "done", (run.method, run.method_options, ending.reason)
    store = Store(tmp_path)
    assert all(store.folder(smoke.name, run).read_result() for run in first_seed)


def test_the_smoke_version_of_transformer_has_its_grid() -> None:
    """The grid of post-training is a part of it, without batch norm. test_text_runs.py runs its methods."""
    full, smoke, post = (
        {(row.label, row.sparsity) for row in load_study(name).rows}
        for name in ("transformer", "transformer-smoke", "post-training")
    )
    assert full == smoke
    assert {(label, sparsity) for label, sparsity in post if "BN kept" not in label} <= full


def test_transformer_is_retrained_from_the_same_dense_networks() -> None:
    plain, retrained = load_study("transformer"), load_study("transformer-retrained")
    assert {run.id for run in retrained.runs if run.method == "dense"} == {
        run.id for run in plain.runs if run.method == "dense"
    }
    pruned = [row for row in retrained.rows if row.sparsity and row.run is not None]
    assert [row.run.recipe.epochs for row in pruned if row.run is not None] == [1] * 6 * 3 * 3
    assert {(row.label, row.sparsity) for row in pruned} <= {(row.label, row.sparsity) for row in plain.rows}


def test_a_part_of_post_training_runs_on_digits(tmp_path: Path) -> None:
    """The smoke version has the grid; each method is tried once, without an epoch after pruning."""
    full, smoke = load_study("post-training"), load_study("post-training-smoke")
    assert {(row.label, row.sparsity) for row in full.rows} == {(row.label, row.sparsity) for row in smoke.rows}
    tried = ("Global MP, BN kept", "Row-wise MP", "Wanda", "2:4 SparseGPT", "2:4 OBC", "ALPS")
    runs = [row.run for row in smoke.rows if row.sparsity == 0.5 and row.label in tried and row.run is not None]
    assert len(runs) == len(tried)
    settings = Settings(results=tmp_path)
    for run in with_parents(runs):
        ending = attempt(run, smoke.name, settings)
        assert ending.outcome == "done", (run.method, run.method_options, ending.reason)
    for run in runs:
        result = Store(tmp_path).folder(smoke.name, run).read_result()
        assert result is not None
        assert result["cost"]["epochs"] == 0
        assert result["accuracy"]["selected"] == result["accuracy"]["last"] == result["accuracy"]["pruned"]
        assert result["sparsity"]["of_pruned_layers"] == pytest.approx(0.5, abs=1e-4)
