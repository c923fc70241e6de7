"""The accuracy table: means, marks and notes by hand, and everything that can be missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.tables.kinds import make_table
from small_study import ACCURACY, build, by_seed, cell, made, standings
from synthetic_results import STUDY, fill, store_failure, store_result


def test_cells_are_means_and_sample_deviations_in_percent(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    found = cell(build(study, store), "Global MP", "90 %")
    assert found.value == pytest.approx(96.2)
    assert found.spread == pytest.approx(0.2)
    assert found.count == found.expected == 3
    # t(0.975, 2) * 0.2 / sqrt(3)
    assert cell(build(study, store, stat="ci"), "Global MP", "90 %").spread == pytest.approx(0.4968, abs=1e-4)


def test_rows_are_in_the_order_of_the_study_with_dense_on_top_and_without_a_mark(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    table = build(study, store)
    assert [row.label for row in table.rows] == ["Dense", "Global MP", "SNIP", "Random"]
    assert table.rows[0].is_reference
    assert not table.rows[0].cells[0].mark
    assert table.rows[0].cells[0].value == pytest.approx(98.2)


def test_best_and_second_are_marked_by_the_mean_and_real_differences_have_no_sign(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    found = standings(build(study, store), "95 %")
    assert found == {"Global MP": ("best", None), "SNIP": ("second", False), "Random": ("", False)}
    assert build(study, store).untold == ()


def test_rows_that_cannot_be_told_from_the_best_have_a_sign_and_keep_their_place(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    # SNIP - Global MP: +0.01, -0.01, +0.001: the interval holds zero
    shift = {0: 0.03, 1: 0.01, 2: 0.021}
    fill(store, study, lambda run: by_seed(run) + (shift[run.seed] if run.method == "snip" else 0))
    found = standings(build(study, store), "90 %")
    assert found == {"Global MP": ("second", True), "SNIP": ("best", None), "Random": ("", False)}


def test_below_three_seeds_the_caption_says_that_rows_could_not_be_compared(tmp_path: Path) -> None:
    study, store = made(tmp_path, STUDY.replace("[0, 1, 2]", "[0, 1]"))
    fill(store, study, by_seed)
    table = build(study, store)
    assert standings(table, "90 %") == {"Global MP": ("best", None), "SNIP": ("second", None), "Random": ("", None)}
    assert table.untold == (
        "What is not distinguishable from the best could not be told: fewer than 3 pairs of runs with the best.",
    )


def test_a_leader_with_missing_runs_is_the_best_mean_and_nothing_is_told_from_it(tmp_path: Path) -> None:
    study, store = made(tmp_path)

    def accuracy(run: Run) -> float | None:
        return None if (run.method, run.seed, run.sparsity) == ("global_mp", 2, 0.9) else by_seed(run)

    fill(store, study, accuracy)
    table = build(study, store)
    assert standings(table, "90 %") == {"Global MP": ("best", None), "SNIP": ("second", None), "Random": ("", None)}
    assert standings(table, "95 %")["SNIP"] == ("second", False)
    assert [sentence.partition(":")[0] for sentence in table.untold] == [
        "What is not distinguishable from the best could not be told at 90 %"
    ]
    found = cell(table, "Global MP", "90 %")
    assert found.runs == "2/3"
    assert found.notes[0].symbol == "‡"


def test_failed_runs_are_counted_in_a_note(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, lambda run: None if run.method == "snip" else by_seed(run))
    for run in study.runs:
        if run.method == "snip" and run.sparsity == 0.9:
            store_failure(store, study.name, run, "RuntimeError: no")
    table = build(study, store)
    found = cell(table, "SNIP", "90 %")
    assert (found.value, found.runs) == (pytest.approx(10), "")
    note = "failed runs count with the accuracy of chance, so not compared for best: SNIP at 90 %: 3 of 3."
    assert ("×", note) in table.footnotes
    # a table of differences looks for no best row
    differences = make_table("paired", study, store).footnotes
    assert ("×", "failed runs count with the accuracy of chance: SNIP at 90 %: 3 of 3.") in differences
    assert any(
        "Incomplete: 3 of 21 runs are not stored (3 missing). Failed: 3 of 21 runs, which count with the accuracy of "
        "chance." in sentence
        for sentence in table.caption
    )


def test_a_failed_run_lowers_the_mean_and_is_never_best(tmp_path: Path) -> None:
    """98.0, 98.2 and the chance of ten classes: 68.73, below SNIP's 94.2; its two good runs alone would lead."""
    study, store = made(tmp_path)
    fill(store, study, lambda run: None if (run.method, run.seed) == ("global_mp", 2) else by_seed(run) + 0.02)
    for run in study.runs:
        if (run.method, run.seed, run.sparsity) == ("global_mp", 2, 0.9):
            store_failure(store, study.name, run, "Diverged: loss is nan")
    table = build(study, store)
    found = cell(table, "Global MP", "90 %")
    assert (found.value, found.count, found.mark) == (pytest.approx((98.0 + 98.2 + 10) / 3), 3, "")
    assert cell(table, "SNIP", "90 %").mark == "best"
    # a failure of the machine, or a run that is only missing, says nothing about the method
    assert (cell(table, "Global MP", "95 %").count, cell(table, "Global MP", "95 %").mark) == (2, "best")


@pytest.mark.parametrize(("fault", "count", "symbol"), [("run", 3, "×"), ("machine", 2, "‡")])
def test_whose_fault_it_was_decides_whether_a_failed_run_counts(
    fault: str, count: int, symbol: str, tmp_path: Path
) -> None:
    study, store = made(tmp_path)
    fill(store, study, lambda run: None if (run.method, run.seed) == ("snip", 2) else by_seed(run))
    for run in study.runs:
        if (run.method, run.seed, run.sparsity) == ("snip", 2, 0.9):
            folder = store_failure(store, study.name, run, "no")
            if fault == "machine":
                folder.write_attempt(2, {"host": "here", "pid": 1, "begin": 0.0, "end": 1.0, "outcome": "failed",
                                         "reason": "no GPU", "retryable": True})  # fmt: skip
    found = cell(build(study, store), "SNIP", "90 %")
    assert (found.count, [note.symbol for note in found.notes]) == (count, [symbol])


def test_a_sparsity_off_the_target_is_flagged_and_not_compared(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    for run in study.runs:
        if run.method == "global_mp" and run.sparsity == 0.9:
            store_result(store, study.name, run, by_seed(run), sparsity__achieved=0.8989)
    table = build(study, store)
    assert ("†", cell(table, "Global MP", "90 %").mark) == (cell(table, "Global MP", "90 %").notes[0].symbol, "")
    assert cell(table, "SNIP", "90 %").mark == "best"
    assert any("Global MP at 90 % reached 89.89 %" in text for _, text in table.footnotes)
    assert not cell(table, "Global MP", "95 %").notes


def test_a_tenth_of_a_point_off_the_target_is_not_flagged(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    for run in study.runs:
        if run.method == "global_mp":
            store_result(store, study.name, run, by_seed(run), sparsity__achieved=run.sparsity - 0.0009)
    assert not build(study, store).footnotes


@pytest.mark.parametrize("how", ["empty layer", "chance"])
def test_collapsed_runs_are_marked_and_never_best(tmp_path: Path, how: str) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    for run in study.runs:
        if run.method == "global_mp" and run.seed == 0 and run.sparsity == 0.9:
            if how == "empty layer":
                store_result(store, study.name, run, 0.98, sparsity__empty_layers=["mid.weight"])
            else:
                store_result(store, study.name, run, 0.115)
    table = build(study, store)
    found = cell(table, "Global MP", "90 %")
    assert [note.symbol for note in found.notes] == ["§"]
    assert found.notes[0].detail == "Global MP at 90 %: 1 of 3"
    assert (found.mark, found.is_indistinct) == ("", None)
    # with an empty layer it still has the highest mean, and naming another the best would be wrong
    led = ("Nothing is marked at 90 %: the row of the highest mean has a collapsed or failed run.",)
    assert table.untold == (led if how == "empty layer" else ())
    assert cell(table, "SNIP", "90 %").mark == ("" if how == "empty layer" else "best")


def test_rows_that_are_only_listed_say_why(tmp_path: Path) -> None:
    text = STUDY + "  - {method: secret, label: Secret, sparsity: 90%, not_run: its code is not public}\n"
    study, store = made(tmp_path, text)
    fill(store, study, by_seed)
    table = build(study, store)
    assert cell(table, "Secret", "90 %").text == "not run"
    assert cell(table, "Secret", "95 %").text == ""
    assert ("¶", "not run in this study: Secret: its code is not public.") in table.footnotes
    assert not any("Incomplete" in sentence for sentence in table.caption)


def test_without_a_dense_row_the_parents_are_the_reference(tmp_path: Path) -> None:
    study, store = made(tmp_path, STUDY.replace("  - method: dense\n", ""))
    fill(store, study, by_seed)
    first = build(study, store).rows[0]
    assert (first.label, first.cells[0].value) == ("Dense", pytest.approx(98.5))
    assert build(study, store, accuracy="best_test").rows[0].label == "Global MP"


def test_captions_state_the_protocol_the_prunable_set_and_the_seeds(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    caption = " ".join(build(study, store).caption)
    assert "Test accuracy of the last epoch." in caption
    assert "(1,384 of 1,410 parameters)" in caption
    assert "n = 3" in caption
    best = build(study, store, accuracy="best_test")
    assert best.caption[0].startswith("Best TEST epoch (paper's protocol, selected on test)")
    assert cell(best, "SNIP", "90 %").value == pytest.approx(94.4)


def test_uneven_seeds_show_their_number_in_every_cell(tmp_path: Path) -> None:
    text = STUDY + "  - {method: grasp, sparsity: 90%, seeds: [0]}\n"
    study, store = made(tmp_path, text)
    fill(store, study, lambda run: ACCURACY.get(run.method, 0.9))
    table = build(study, store)
    assert (cell(table, "GraSP", "90 %").runs, cell(table, "SNIP", "90 %").runs) == ("1", "3")
    assert any("n = 1 to 3" in sentence for sentence in table.caption)


def test_dense_trainings_alone_have_their_accuracy_in_one_column(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    study = load_study(str(tmp_path / "study.yaml"), [], ["method=dense"])
    fill(store, study, by_seed)
    assert cell(build(study, store), "Dense", "not pruned").value == pytest.approx(98.2)
