"""Which results stand in one table, and in which track."""

from __future__ import annotations

from pathlib import Path

import pytest
from boards import results_of
from prunebench.benchmark.leaderboard.schema import Published
from prunebench.benchmark.leaderboard.settings import Setting, settings_of
from prunebench.benchmark.leaderboard.table import leader_table
from synthetic_results import STUDY

HEAD = STUDY.split("runs:")[0]


def tables(results: list[Published]) -> dict[str, list[str]]:
    return {setting.title: [row.label for row in setting.rows] for setting in settings_of(results)}


def test_tracks_are_read_from_the_run_and_the_family(tmp_path: Path) -> None:
    text = HEAD + (
        "scratch: {epochs: 5}\n"
        "runs:\n"
        "  - {method: [global_mp, snip, rigl, gmp, imp, random_filters, filter_l1, small_dense], sparsity: 90%}\n"
        "  - {method: wanda, sparsity: 90%, finetune: {epochs: 0}}\n"
    )
    assert tables(results_of(tmp_path, text)) == {
        "Sparse training and pruning at initialisation, 5 epochs": ["SNIP", "RigL", "GMP", "Small dense"],
        # a control that trains a network of its own answers the rows of other tracks as well
        "Structured, 2 + 3 epochs": ["Random filters", "Filter L1", "Small dense"],
        "Retraining after pruning, 2 + 3 epochs": ["Global MP", "Small dense"],
        "Retraining after pruning, 5 epochs": ["IMP", "Small dense"],
        "Post-training, 2 epochs": ["Wanda"],
    }


@pytest.mark.parametrize(
    "other",
    ["train: {epochs: 2, batch_size: 25, lr: 0.1}", "train: {epochs: 2, batch_size: 50, lr: 0.2}",
     "train: {epochs: 3, batch_size: 50, lr: 0.1}", "finetune: {epochs: 4}", "validation: 0.2",
     "dataset: {name: digits, options: {limit: 300}}", "model: {name: convnet-small, options: {width: 8}}"],
)  # fmt: skip
def test_other_recipes_data_and_networks_are_other_tables(other: str, tmp_path: Path) -> None:
    key = other.split(":")[0]
    head = "".join(line for line in HEAD.splitlines(keepends=True) if not line.startswith(f"{key}:"))
    runs = "runs:\n  - method: dense\n  - {method: %s, sparsity: 90%%}\n"
    first = results_of(tmp_path / "a", HEAD + runs % "global_mp")
    same = results_of(tmp_path / "b", HEAD.replace("name: small", "name: same") + runs % "random")
    changed = results_of(tmp_path / "c", head.replace("name: small", "name: other") + f"{other}\n" + runs % "lamp")
    assert [sorted(row.label for row in each.rows) for each in settings_of([*first, *same, *changed])] == [
        ["Global MP", "Random"],
        ["LAMP"],
    ]


def test_equal_labels_of_two_studies_are_two_rows(tmp_path: Path) -> None:
    """They are never averaged: an option, the code or the machine may differ."""
    runs = "runs:\n  - method: dense\n  - {method: global_mp, sparsity: 90%, label: Ours, options: {scope: SCOPE}}\n"
    first = results_of(tmp_path / "a", HEAD + runs.replace("SCOPE", "global"))
    second = results_of(tmp_path / "b", HEAD.replace("name: small", "name: second") + runs.replace("SCOPE", "erk"))
    (setting,) = settings_of([*first, *second])
    # the label shares no word with the method's, which is named beside it
    rows = ["Ours (Global MP) [small]", "Ours (Global MP) [second]"]
    assert [row.label for row in setting.rows] == rows
    assert [row.label for row in setting.dense] == ["Dense"]  # the same runs are one row
    assert [row.label for row in leader_table(setting).table.rows] == ["Dense", *rows]


def test_a_failed_run_stands_with_the_others_of_its_row(tmp_path: Path) -> None:
    results = results_of(tmp_path, accuracy=lambda run: None if (run.method, run.seed) == ("snip", 1) else 0.9)
    failed = [result for result in results if result.state == "failed"]
    assert [(result.label, result.run["seed"], result.reason) for result in failed] == [
        ("SNIP", 1, "Diverged: loss is nan")
    ] * 2
    (setting,) = [each for each in settings_of(results) if each.track == "sparse"]
    assert len(setting.rows[0].results) == 6


def test_dense_rows_are_those_that_the_rows_start_from(tmp_path: Path) -> None:
    results = results_of(tmp_path)
    found: dict[str, Setting] = {setting.track: setting for setting in settings_of(results)}
    parents = {run.parent.id for row in found["retraining"].rows for run in row.runs if run.parent}
    assert {result.id for result in found["retraining"].dense[0].results} == parents
    assert [row.label for row in found["sparse"].dense] == ["Dense"]


def test_tables_with_one_heading_say_what_differs(tmp_path: Path) -> None:
    runs = "runs:\n  - {method: snip, sparsity: 90%}\n"
    first = results_of(tmp_path / "a", HEAD + runs)
    text = HEAD.replace("small\n", "other\n", 1).replace("lr: 0.1", "lr: 0.2") + "validation: 0.2\n" + runs
    second = results_of(tmp_path / "b", text)
    assert [setting.title for setting in settings_of([*first, *second])] == [
        "Sparse training and pruning at initialisation, 2 epochs, validation 0.1, lr 0.1",
        "Sparse training and pruning at initialisation, 2 epochs, validation 0.2, lr 0.2",
    ]
