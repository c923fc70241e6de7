"""The leaderboard's tables: the marks of the accuracy table, and what is said of mixed rows, failures and latency."""

from __future__ import annotations

from pathlib import Path

import pytest
from boards import READER, as_reference, results_of, store_exact, stored
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.leaderboard.from_folder import read_folder
from prunebench.benchmark.leaderboard.schema import Published
from prunebench.benchmark.leaderboard.settings import settings_of
from prunebench.benchmark.leaderboard.table import Made, leader_table
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.tables.accuracy import accuracy_table
from prunebench.benchmark.tables.table import TableRow
from synthetic_latency import MACHINE, store_latency
from synthetic_results import STUDY

ONE_TRACK = STUDY.replace("[global_mp, snip, random]", "[global_mp, lamp, random]")


def table_of(results: list[Published], track: str = "retraining") -> Made:
    return next(leader_table(setting) for setting in settings_of(results) if setting.track == track)


def falling(run: Run) -> float:
    return 0.9 - run.sparsity / 10 + 0.003 * run.seed + 0.001 * len(run.method)


def cells(row: TableRow) -> list[str]:
    return [cell.number or cell.text for cell in row.cells]


def notes(made: Made) -> dict[str, str]:
    return dict(made.table.footnotes)


def test_numbers_and_marks_are_those_of_the_accuracy_table(tmp_path: Path) -> None:
    study, store = stored(tmp_path, ONE_TRACK, accuracy=falling)
    found = read_results(study, store)
    plain = accuracy_table(found.frame, stat="ci", chance=found.chance)
    made = table_of(read_folder(as_reference(study, store, tmp_path / "reference"))).table
    by_label = {row.label: row for row in made.rows}
    assert set(by_label) == {row.label for row in plain.rows}
    for row in plain.rows:
        assert by_label[row.label].cells[: len(row.cells)] == row.cells
    assert {cell.mark for row in made.rows for cell in row.cells} == {"", "best", "second"}


def test_rows_are_sorted_and_controls_are_grey(tmp_path: Path) -> None:
    made = table_of(results_of(tmp_path, ONE_TRACK)).table
    assert [(row.label, row.is_reference) for row in made.rows] == [
        ("Dense", True), ("Global MP", False), ("LAMP", False), ("Random", True),
    ]  # fmt: skip
    assert [column.heading for column in made.columns][-3:] == ["n", "latency (ms)", "x dense"]
    assert cells(made.rows[1])[-3:] == ["3", "", ""]
    assert "Latency is empty" in made.caption[-1]


def test_a_failed_run_counts_with_chance(tmp_path: Path) -> None:
    results = results_of(tmp_path, accuracy=lambda run: None if (run.method, run.seed) == ("snip", 1) else 0.9)
    made = table_of(results, "sparse")
    snip = next(row for row in made.table.rows if row.label == "SNIP")
    assert cells(snip)[0] == "63.33"  # of 90, 10 and 90
    assert "SNIP at 90 %: 1 of 3" in notes(made)["×"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("packages", {"torch": "1"}, "torch 2 (4), 1 (2)"), ("device_name", "A GPU", "device A CPU (4), A GPU (2)"),
     ("prunebench", "0.2.0", "prunebench 0.1.0 (4), 0.2.0 (2)"),
     ("revision", "f" * 40, "revision abc (4), ffffffffff (2)"),
     ("code", {"scheme": 2, "method": "0", "network": "0"}, "code of method and network")],
)  # fmt: skip
def test_a_row_that_mixes_says_so(key: str, value: object, said: str, tmp_path: Path) -> None:
    study, store = stored(tmp_path, ONE_TRACK)
    for run in study.runs:
        if run.method == "lamp" and run.seed == 2:
            store_exact(store, study.name, run, 0.9, **{f"provenance__{key}": value})
    made = table_of(read_folder(as_reference(study, store, tmp_path / "reference")))
    assert f"LAMP: {said}" in notes(made)["◆"]
    assert "Global MP" not in notes(made)["◆"]


def test_a_row_of_another_machine_than_most_says_so(tmp_path: Path) -> None:
    study, store = stored(tmp_path, ONE_TRACK)
    for run in study.runs:
        if run.method == "lamp":
            store_exact(store, study.name, run, 0.9, provenance__device_name="A GPU")
    made = table_of(read_folder(as_reference(study, store, tmp_path / "reference")))
    assert "LAMP: device A GPU" in notes(made)["◇"]
    assert "◆" not in notes(made)


def test_equal_dense_trainings_of_other_bits_are_no_pair(tmp_path: Path) -> None:
    """Two machines give one specification other weights; paired by its id they would look like the same network."""
    study, store = stored(tmp_path, ONE_TRACK, provenance__weights={"start": "a", "stored": None})
    before = table_of(read_folder(as_reference(study, store, tmp_path / "one"))).table
    assert before.rows[2].cells[0].is_indistinct is not None
    for run in study.runs:
        if run.method == "lamp":
            store_exact(store, study.name, run, 0.95, provenance__weights={"start": "b", "stored": None})
    made = table_of(read_folder(as_reference(study, store, tmp_path / "two"))).table
    lamp = next(row for row in made.rows if row.label == "LAMP")
    assert lamp.cells[0].is_indistinct is None


def test_another_retraining_recipe_is_said(tmp_path: Path) -> None:
    text = ONE_TRACK + "  - {method: erk_mp, sparsity: 90%, finetune: {lr: 0.5, batch_size: 10}}\n"
    made = table_of(results_of(tmp_path, text))
    assert "retraining: the same recipe." in made.table.caption[0]
    assert notes(made)["↺"].endswith("ERK MP: batch_size 10, lr 0.5.")


def test_an_older_version_of_a_method_is_not_compared(tmp_path: Path) -> None:
    results = results_of(tmp_path, ONE_TRACK)
    found = [
        result.model_copy(update={"run": {**result.run, "method_version": 7}}) if result.label == "LAMP" else result
        for result in results
    ]
    made = table_of(found)
    assert "LAMP at 90 %" in notes(made)["⊖"]


def test_changed_code_of_the_same_version_keeps_its_marks(tmp_path: Path) -> None:
    code = {"scheme": READER.read(next(iter(stored(tmp_path / "x")[0].runs)))["scheme"], "method": "0", "network": "0"}
    made = table_of(results_of(tmp_path, ONE_TRACK, provenance__code=code)).table
    assert {cell.mark for row in made.rows for cell in row.cells} >= {"best", "second"}


def test_latency_is_that_of_the_fastest_way_at_the_smallest_batch(tmp_path: Path) -> None:
    study, store = stored(tmp_path, ONE_TRACK)
    for run in study.runs:
        if run.method == "global_mp":
            shrunk = 0.5 if run.sparsity == 0.9 else 0.4
            times = {"dense": 2.0, "masked": 2.0, "shrunk": shrunk, "int8-onnx": 0.1}
            store_latency(store, study.name, run, times)
    folder = as_reference(study, store, tmp_path / "reference")
    (store.root / study.name / "latency").rename(folder / "latency")
    made = table_of(read_folder(folder)).table
    assert {row.label: cells(row)[-2:] for row in made.rows} == {
        "Dense": ["", ""], "Global MP": ["0.400 to 0.500", "4.00 to 5.00"], "LAMP": ["", ""], "Random": ["", ""],
    }  # fmt: skip
    assert MACHINE["device_name"] in made.caption[-1]
