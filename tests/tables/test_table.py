"""Tables of small studies written through the store: numbers by hand, and everything that can be missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prunebench.benchmark.analysis.accuracy import ACCURACIES
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.benchmark.tables.accuracy import accuracy_table
from prunebench.benchmark.tables.kinds import KINDS, OF_PRUNED, make_table, ranks_over, render
from prunebench.benchmark.tables.table import Cell, Table
from synthetic_results import STUDY, fill, invented_keys, store_failure, store_result, write_study

ACCURACY = {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}


def made(tmp_path: Path, text: str = STUDY) -> tuple[Study, Store]:
    return write_study(tmp_path, text), Store(tmp_path / "results")


def by_seed(run: Run) -> float:
    """The same order of methods at every seed, with a common shift: differences are exact and real."""
    return ACCURACY.get(run.method, 0.9) + 0.002 * run.seed - (0.01 if run.sparsity > 0.9 else 0)


def cell(table: Table, label: str, column: str) -> Cell:
    index = [c.heading for c in table.columns].index(column)
    return next(row.cells[index] for row in table.rows if row.label == label)


def build(study: Study, store: Store, **options: str) -> Table:
    found = read_results(study, store)
    return accuracy_table(found.frame, chance=found.chance, **options)  # pyright: ignore[reportArgumentType]


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


def standings(table: Table, column: str) -> dict[str, tuple[str, bool | None]]:
    found = {row.label: cell(table, row.label, column) for row in table.rows if not row.is_reference}
    return {label: (each.mark, each.is_indistinct) for label, each in found.items()}


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


def test_below_three_seeds_the_caption_says_that_nothing_could_be_told(tmp_path: Path) -> None:
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


def test_failed_runs_are_counted_and_said(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, lambda run: None if run.method == "snip" else by_seed(run))
    for run in study.runs:
        if run.method == "snip" and run.sparsity == 0.9:
            store_failure(store, study.name, run, "RuntimeError: no")
    table = build(study, store)
    found = cell(table, "SNIP", "90 %")
    assert (found.text, found.runs) == ("failed", "0/3")
    assert ("‡", "runs are missing; (stored/expected): SNIP at 90 %: 3 failed.") in table.footnotes
    assert any("6 of 21 runs are not stored (3 failed, 3 missing)" in sentence for sentence in table.caption)


def test_a_sparsity_off_the_target_is_flagged_and_not_compared(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    for run in study.runs:
        if run.method == "global_mp" and run.sparsity == 0.9:
            store_result(store, study.name, run, by_seed(run), sparsity__achieved=0.8949)
    table = build(study, store)
    assert ("†", cell(table, "Global MP", "90 %").mark) == (cell(table, "Global MP", "90 %").notes[0].symbol, "")
    assert cell(table, "SNIP", "90 %").mark == "best"
    assert any("Global MP at 90 % reached 89.49 %" in text for _, text in table.footnotes)
    assert not cell(table, "Global MP", "95 %").notes


def test_half_a_point_off_the_target_is_not_flagged(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    for run in study.runs:
        if run.method == "global_mp":
            store_result(store, study.name, run, by_seed(run), sparsity__achieved=run.sparsity - 0.0049)
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
    led = ("Nothing is marked at 90 %: the row of the highest mean has a collapsed run.",)
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


@pytest.mark.parametrize("kind", KINDS)
def test_every_caption_states_the_prunable_set_the_seeds_and_what_is_missing(tmp_path: Path, kind: str) -> None:
    study, store = made(tmp_path)
    fill(store, study, lambda run: None if (run.method, run.seed) == ("random", 0) else by_seed(run))
    caption = " ".join(make_table(kind, study, store).caption)
    assert "(1,384 of 1,410 parameters)" in caption
    assert any(
        number in caption for number in ("(n = 3)", "3 seeds for each method", "over pairs of runs with the same seed")
    )
    assert "Incomplete: 2 of 21 runs are not stored (2 missing)." in caption


@pytest.mark.parametrize("kind", ["accuracy", "pareto", "rank", "paired"])
def test_captions_of_accuracies_say_which_one(tmp_path: Path, kind: str) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    for accuracy, protocol in ACCURACIES.items():
        assert protocol[1:] in " ".join(make_table(kind, study, store, accuracy).caption)


def test_accuracy_stands_beside_the_multiply_adds_left_and_the_front_is_marked(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    table = make_table("pareto", study, store)
    assert [column.title for column in table.columns] == [
        "90 %: MACs left", "90 %: accuracy", "95 %: MACs left", "95 %: accuracy"
    ]  # fmt: skip
    accuracies = {row.label: row.cells for row in build(study, store).rows}
    fronts = {}
    for row in table.rows:
        assert [cell.value for cell in row.cells[1::2]] == [cell.value for cell in accuracies[row.label]]
        assert [cell.value for cell in row.cells[::2]] == pytest.approx([100, 100] if row.is_reference else [10, 5])
        fronts[row.label] = [any(note.symbol == "⋆" for note in cell.notes) for cell in row.cells]
        if not row.is_reference:
            marks = [(cell.mark, cell.is_indistinct) for cell in accuracies[row.label]]
            assert [(cell.mark, cell.is_indistinct) for cell in row.cells[1::2]] == marks
            assert not any(cell.mark for cell in row.cells[::2])
    assert table.marks.startswith("Accuracies are marked, multiply-adds are not.")
    # all rows have the same multiply-adds at a sparsity, so its best accuracy alone is not beaten there
    best = max((row for row in table.rows if not row.is_reference), key=lambda row: row.cells[1].value or 0).label
    assert fronts == {label: [False, label == best, False, label == best] for label in accuracies}


def test_uneven_seeds_show_their_number_in_every_cell(tmp_path: Path) -> None:
    text = STUDY + "  - {method: grasp, sparsity: 90%, seeds: [0]}\n"
    study, store = made(tmp_path, text)
    fill(store, study, lambda run: ACCURACY.get(run.method, 0.9))
    table = build(study, store)
    assert (cell(table, "GraSP", "90 %").runs, cell(table, "SNIP", "90 %").runs) == ("1", "3")
    assert any("n = 1 to 3" in sentence for sentence in table.caption)


def test_multiply_adds_are_shown_pruned_and_left(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    table = make_table("macs", study, store)
    rows = {(row.block, row.label): row.cells for row in table.rows}
    assert rows["Multiply-adds pruned (%)", "SNIP"][0].value == pytest.approx(90.0)
    assert rows["Multiply-adds left (k)", "SNIP"][0].value == pytest.approx(2.32)
    assert rows["Multiply-adds left (k)", "Dense"][0].value == pytest.approx(23.2)


def test_the_layers_table_has_a_block_a_sparsity_and_marks_empty_layers(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    run = next(run for run in study.runs if run.method == "snip" and run.sparsity == 0.95)
    folder = store.folder(study.name, run)
    layers = (folder.read_result() or {})["layers"]
    store_result(store, study.name, run, 0.5, layers=[{**layers[0], "kept": 0, "density": 0.0}, *layers[1:]])
    table = make_table("layers", study, store)
    assert [block for block, _ in table.blocks] == ["90 %", "95 %"]
    first = {row.label: row for row in table.blocks[1][1]}["conv.weight"]
    snip = first.cells[[c.heading for c in table.columns].index("SNIP")]
    assert snip.value == pytest.approx(100 * (0.05 + 0.05 + 0) / 3)
    assert snip.notes[0].symbol == "§"


def test_the_cost_table_counts_dense_training_once_a_run(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    table = make_table("cost", study, store)
    cells = {row.label: dict(zip([c.heading for c in table.columns], row.cells, strict=True)) for row in table.rows}
    assert cells["Global MP"]["epochs, own"].value == 3
    assert cells["Global MP"]["with dense"].value == 5
    assert cells["SNIP"]["with dense"].value == 2
    # six runs of 36 seconds
    assert cells["SNIP"]["device-hours"].value == pytest.approx(0.06)
    assert cells["SNIP"]["epochs, own"].runs == "6"


def test_device_hours_count_every_process_of_a_run(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    shared, older = [run for run in study.runs if run.method == "snip"][:2]
    store_result(store, study.name, shared, 0.9, provenance__processes=4)
    path = store_result(store, study.name, older, 0.9).result_path
    result = json.loads(path.read_text(encoding="utf-8"))
    del result["provenance"]["processes"]
    path.write_text(json.dumps(result), encoding="utf-8")
    table = make_table("cost", study, store)
    cells = {row.label: dict(zip([c.heading for c in table.columns], row.cells, strict=True)) for row in table.rows}
    # six runs of 36 seconds, one of them on four devices, one from before runs could be shared
    assert cells["SNIP"]["device-hours"].value == pytest.approx(0.09)
    assert cells["Global MP"]["device-hours"].value == pytest.approx(0.06)
    assert "times the processes that share it" in " ".join(table.caption)


def test_ranks_over_two_studies_are_two_settings(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    (tmp_path / "b").mkdir()
    other = write_study(tmp_path / "b", STUDY.replace("name: small", "name: other").replace("digits", "mnist"))
    fill(store, other, lambda run: {"snip": 0.9, "global_mp": 0.8, "random": 0.7}.get(run.method, 0.95))
    table = ranks_over([study, other], store)
    means = {row.label: row.cells[0].value for row in table.rows}
    assert means == {"Global MP": 1.5, "SNIP": 1.5, "Random": 3.0}
    assert any("over 2 settings; no test below 6" in sentence for sentence in table.caption)


def test_the_mean_rank_is_the_mean_of_the_ranks_of_the_row(tmp_path: Path) -> None:
    text = STUDY.replace("[90%, 95%]", "[80%, 90%, 95%]")
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    best = {0.8: "snip", 0.9: "snip", 0.95: "random"}
    fill(store, study, lambda run: 0.9 if best.get(run.sparsity) == run.method else 0.8)
    table = make_table("rank", study, store)
    shown = {row.label: [cell.value for cell in row.cells] for row in table.rows}
    assert shown == {
        "SNIP": [pytest.approx(4.5 / 3), 1.0, 1.0, 2.5],
        "Random": [pytest.approx(6 / 3), 2.5, 2.5, 1.0],
        "Global MP": [2.5, 2.5, 2.5, 2.5],
    }
    assert "over 1 setting; no test below 6" in table.caption[-1]
    assert "The mean rank is the mean of these ranks" in table.caption[0]


def test_methods_without_a_mean_rank_say_why(tmp_path: Path) -> None:
    study = write_study(tmp_path, STUDY + "  - {method: lamp, sparsity: [95%]}\n  - {method: str, sparsity: [0]}\n")
    store = Store(tmp_path / "results")
    fill(store, study, lambda run: 0.97 if run.method == "lamp" else by_seed(run))
    table = make_table("rank", study, store)
    assert [column.heading for column in table.columns] == ["mean rank", "90 %", "95 %"]
    rows = {row.label: row.cells for row in table.rows}
    assert [note.symbol for note in rows["LAMP"][0].notes] == ["†"]
    assert rows["LAMP"][2].value == 1.0
    # LAMP takes a place in the second column alone: the mean ranks are of the other three
    assert sum(rows[label][0].value or 0 for label in ("Global MP", "SNIP", "Random")) == pytest.approx(6.0)
    assert [note.symbol for note in rows["STR"][0].notes] == ["◦"]
    assert [cell.text for cell in rows["STR"]] == ["–", "–", "–"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", ["md", "latex", "csv", "html"])
def test_every_kind_and_format_shows_an_empty_study(tmp_path: Path, kind: str, format: str) -> None:
    study, store = made(tmp_path)
    assert render(make_table(kind, study, store), format)


@pytest.mark.parametrize("format", ["md", "latex", "csv", "html"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OF_PRUNED])
def test_dense_trainings_alone_have_a_table(tmp_path: Path, kind: str, format: str) -> None:
    study, store = made(tmp_path)
    study = load_study(str(tmp_path / "study.yaml"), [], ["method=dense"])
    fill(store, study, by_seed)
    table = make_table(kind, study, store)
    assert "Dense" in {row.label for row in table.rows} | {column.heading for column in table.columns}
    assert all(len(row.cells) == len(table.columns) for row in table.rows)
    assert render(table, format)
    caption = " ".join(table.caption)
    assert "n = 3" in caption or "3 seeds for each method" in caption


def test_dense_trainings_alone_have_their_accuracy_in_one_column(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    study = load_study(str(tmp_path / "study.yaml"), [], ["method=dense"])
    fill(store, study, by_seed)
    assert cell(build(study, store), "Dense", "not pruned").value == pytest.approx(98.2)


def test_dense_trainings_alone_are_not_ranked_or_paired(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    study = load_study(str(tmp_path / "study.yaml"), [], ["method=dense"])
    message = "compares pruned networks, but all runs chosen of 'small' are dense trainings; known for these: accuracy,"
    for kind in OF_PRUNED:
        with pytest.raises(UserError, match=f"--kind {kind} {message}"):
            make_table(kind, study, store)
    with pytest.raises(UserError, match=f"--kind rank {message}"):
        ranks_over([study], store)


def test_unknown_choices_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    with pytest.raises(UserError, match="kind of table 'acuracy'; did you mean 'accuracy'"):
        make_table("acuracy", study, store)
    with pytest.raises(UserError, match="stat 'se'"):
        make_table("accuracy", study, store, stat="se")
    with pytest.raises(UserError, match="accuracy 'best'"):
        make_table("accuracy", study, store, accuracy="best")
    with pytest.raises(UserError, match=r"format 'tex'.*known: csv, html, latex, md"):
        render(make_table("accuracy", study, store), "tex")


def test_real_results_have_the_keys_of_synthetic_ones(tmp_path: Path, tiny_study: Path) -> None:
    """One real run through the harness; also what its table says of it."""
    from prunebench.benchmark.launch.attempt import attempt
    from prunebench.benchmark.runs.settings import Settings

    study = load_study(str(tiny_study), ["train.epochs=1", "finetune.epochs=1"], ["method=dense,global_mp"])
    store = Store(tmp_path / "results")
    for run in study.runs:
        assert attempt(run, study.name, Settings(results=store.root)).outcome == "done"
    run = study.runs[-1]
    real = store.folder(study.name, run).read_result()
    assert real is not None
    synthetic = store_result(Store(tmp_path / "other"), study.name, run, 0.5)
    made_up = synthetic.read_result() or {}
    assert invented_keys(made_up, real) == []
    assert set(real["layers"][0]) >= set(made_up["layers"][0])
    assert set(store.folder(study.name, run).history()[0]) >= set(synthetic.history()[0])
    table = build(study, store)
    assert cell(table, "Global MP", "90 %").value == pytest.approx(100 * real["accuracy"]["last"])
