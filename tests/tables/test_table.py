"""Every kind of table of small studies written through the store: numbers by hand, captions, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prunebench.benchmark.analysis.accuracy import ACCURACIES
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.tables.kinds import OF_PRUNED, make_table, ranks_over, render
from small_study import build, by_seed, cell, made
from synthetic_results import OF_ANY_STUDY, STUDY, fill, invented_keys, store_result, write_study


@pytest.mark.parametrize("kind", OF_ANY_STUDY)
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
        if kind == "rank" and accuracy == "best_test":
            with pytest.raises(UserError, match="chosen on the test set and ranks nothing; rank by last or selected"):
                make_table(kind, study, store, accuracy)
            continue
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
        assert [cell.value for cell in row.cells[1::2]] == [cell.value for cell in accuracies[row.label][:2]]
        assert [cell.value for cell in row.cells[::2]] == pytest.approx([100, 100] if row.is_reference else [10, 5])
        fronts[row.label] = [any(note.symbol == "⋆" for note in cell.notes) for cell in row.cells]
        if not row.is_reference:
            marks = [(cell.mark, cell.is_indistinct) for cell in accuracies[row.label][:2]]
            assert [(cell.mark, cell.is_indistinct) for cell in row.cells[1::2]] == marks
            assert not any(cell.mark for cell in row.cells[::2])
    assert table.marks.startswith("Accuracies are marked, multiply-adds are not.")
    # all rows have the same multiply-adds at a sparsity, so only the best accuracy is on the front
    best = max((row for row in table.rows if not row.is_reference), key=lambda row: row.cells[1].value or 0).label
    assert fronts == {label: [False, label == best, False, label == best] for label in accuracies}


def test_multiply_adds_are_shown_pruned_and_left(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    table = make_table("macs", study, store)
    rows = {(row.block, row.label): row.cells for row in table.rows}
    assert rows["Multiply-adds pruned (%)", "SNIP"][0].value == pytest.approx(90.0)
    assert rows["Multiply-adds left (k)", "SNIP"][0].value == pytest.approx(2.32)
    assert rows["Multiply-adds left (k)", "Dense"][0].value == pytest.approx(23.2)


def test_weights_ever_used_are_shown_where_masks_have_moved(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    assert {row.block for row in make_table("macs", study, store).rows} == {
        "Multiply-adds pruned (%)",
        "Multiply-adds left (k)",
    }, "older results do not say"
    for run in study.runs:
        explored = {"snip": 1.5 * (1 - run.sparsity), "global_mp": 1 - run.sparsity}.get(run.method)
        store_result(store, study.name, run, 0.5, sparsity__explored=explored)
    used = [row for row in make_table("macs", study, store).rows if row.block == "Weights ever used (%)"]
    assert [row.label for row in used] == ["SNIP"]
    assert [cell.value for cell in used[0].cells] == [pytest.approx(15.0), pytest.approx(7.5)]


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
    cells = {row.label: dict(zip([c.title for c in table.columns], row.cells, strict=True)) for row in table.rows}
    assert cells["Global MP"]["epochs: own"].value == 3
    assert cells["Global MP"]["epochs: with dense"].value == 5
    assert cells["SNIP"]["epochs: with dense"].value == 2
    # six runs of 36 seconds
    assert cells["SNIP"]["device-hours"].value == pytest.approx(0.06)
    assert cells["SNIP"]["runs"].value == 6


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
    # LAMP has a rank in the second column only: the mean ranks are of the other three
    assert sum(rows[label][0].value or 0 for label in ("Global MP", "SNIP", "Random")) == pytest.approx(6.0)
    assert [note.symbol for note in rows["STR"][0].notes] == ["◦"]
    assert [cell.text for cell in rows["STR"]] == ["–", "–", "–"]


@pytest.mark.parametrize("kind", OF_ANY_STUDY)
@pytest.mark.parametrize("format", ["md", "latex", "csv", "html"])
def test_every_kind_and_format_shows_an_empty_study(tmp_path: Path, kind: str, format: str) -> None:
    study, store = made(tmp_path)
    assert render(make_table(kind, study, store), format)


@pytest.mark.parametrize("format", ["md", "latex", "csv", "html"])
@pytest.mark.parametrize("kind", [kind for kind in OF_ANY_STUDY if kind not in OF_PRUNED])
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
    """One real run through the harness, and its table."""
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
