"""The accuracies of a run beside each other, on curves that are worked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.analysis.last_epochs import fill_last_epochs
from prunebench.benchmark.runs.eligible import mean_of_last
from prunebench.benchmark.tables.kinds import make_table
from prunebench.benchmark.training.result import summarize_accuracy
from small_study import by_seed, made
from synthetic_results import STUDY, fill, store_result

VALIDATION, TEST = (0.50, 0.60, 0.60, 0.55), (0.40, 0.58, 0.62, 0.61)


def curve(density: float = 0.1) -> list[dict[str, Any]]:
    return [
        {"epoch": epoch, "density": density, "validation_accuracy": validation, "test_accuracy": test, "test_top5": 1.0}
        for epoch, (validation, test) in enumerate(zip(VALIDATION, TEST, strict=True))
    ]


def summary(history: list[dict[str, Any]]) -> dict[str, Any]:
    last = {"accuracy": history[-1]["test_accuracy"], "top5": 1.0, "loss": 0.1}
    return summarize_accuracy(history, last, last, last, has_validation=True)["accuracy"]


def test_fixed_curves() -> None:
    """The best validation accuracy is that of epochs 1 and 2; the first one counts."""
    found = summary(curve())
    assert (found["last"], found["selected"], found["best_test"]) == (0.61, 0.58, 0.62)
    assert (found["selected_epoch"], found["best_test_epoch"]) == (1, 2)
    assert found["best_test"] - found["last"] == pytest.approx(0.01)
    assert found["last5"] == pytest.approx((0.40 + 0.58 + 0.62 + 0.61) / 4)


def test_epochs_before_the_final_sparsity_take_no_part() -> None:
    history = curve(density=0.5)[:2] + curve(density=0.1)[2:]
    assert summary(history)["last5"] == pytest.approx(0.615)


def test_the_last_five_of_more() -> None:
    assert mean_of_last([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]) == pytest.approx(0.5)
    assert mean_of_last([]) is None


def test_the_table_has_a_column_for_each_and_marks_nothing(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    for run in study.runs:
        if run.method == "snip":
            changes = {"accuracy__last": 0.61, "accuracy__selected": 0.58, "accuracy__best_test": 0.62}
            folder = store_result(store, study.name, run, 0.61, **changes)
            stored = json.loads(folder.history_path.read_text(encoding="utf-8").splitlines()[0])
            lines = "".join(json.dumps({**stored, **epoch}) + "\n" for epoch in curve())
            folder.history_path.write_text(lines, encoding="utf-8")
            result = json.loads(folder.result_path.read_text())
            result["cost"]["epochs"] = 4
            folder.result_path.write_text(json.dumps(result))
    table = make_table("selection", study, store)
    assert [column.heading for column in table.columns] == [
        "last epoch", "mean of last 5 epochs", "best on validation",
        "paper protocol: best TEST epoch (selected on test, optimistic)", "selection effect",
    ]  # fmt: skip
    row = next(row for row in table.rows if (row.label, row.block) == ("SNIP", "90 %"))
    assert [cell.value for cell in row.cells] == pytest.approx([61, 55.25, 58, 62, 1])
    assert not table.has_marks
    assert [row.block for row in table.rows] == ["dense", *["90 %"] * 3, *["95 %"] * 3]


def test_a_stored_mean_is_not_read_from_the_history(tmp_path: Path) -> None:
    """Results of this version have it; of older ones it comes from the epochs: 0.48 and 0.96 of two."""
    study, store = made(tmp_path)
    run = next(run for run in study.runs if run.method == "snip")
    folder = store_result(store, study.name, run, 0.96)
    found = fill_last_epochs(study_frame(study, store), study, store).set_index("id")["accuracy_last5"]
    assert found[run.id] == pytest.approx(0.72)
    result = json.loads(folder.result_path.read_text())
    result["accuracy"]["last5"] = 0.5
    folder.result_path.write_text(json.dumps(result))
    assert fill_last_epochs(study_frame(study, store), study, store).set_index("id")["accuracy_last5"][run.id] == 0.5


@pytest.mark.parametrize("kind", ["accuracy", "pareto"])
def test_the_best_test_epoch_ranks_nothing(kind: str, tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    assert make_table(kind, study, store, "selected").has_marks
    assert not make_table(kind, study, store, "best_test").has_marks


def test_weights_from_a_file_are_said_to_be_external(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    assert "dense=external" not in " ".join(make_table("selection", study, store).caption)
    study, store = made(tmp_path, STUDY.replace("convnet-small", "{name: convnet-small, options: {weights: a.pth}}"))
    fill(store, study, by_seed)
    for kind in ("selection", "accuracy"):
        caption = " ".join(make_table(kind, study, store).caption)
        assert "dense=external: the weights of all rows begin from a file." in caption
    assert set(study_frame(study, store)["start_weights"]) == {"external"}


def test_each_row_has_its_cost_in_two_readings(tmp_path: Path) -> None:
    """2 epochs of dense training, 3 of fine-tuning, 2 from initialisation; each has 3e9 multiply-adds here."""
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    table = make_table("accuracy", study, store)
    assert [column.heading for column in table.columns][-3:] == ["own epochs", "with dense", "training MACs (G)"]
    shown = {row.label: [cell.number or cell.text for cell in row.cells[-3:]] for row in table.rows}
    assert shown == {
        "Dense": ["2", "2", "6.000"],
        "Global MP": ["3", "5", "15.000"],
        "SNIP": ["2", "2", "6.000"],
        "Random": ["3", "5", "15.000"],
    }
    store_result(store, study.name, study.runs[3], 0.9, cost__epochs=7)
    table = make_table("accuracy", study, store)
    assert next(row for row in table.rows if row.label == "Global MP").cells[-3].text == "3 to 7"
