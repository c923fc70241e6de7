"""Tables and the figure of searches: default beside tuned, an oracle that is never ranked, spread and cost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.plots.kinds import figures, standard_kinds
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.studies.trials import searches
from prunebench.benchmark.tables.kinds import OF_TUNED, make_table
from prunebench.benchmark.tables.table import Table
from prunebench.benchmark.tuning.selection import freeze
from prunebench.benchmark.tuning.stages import shown_study
from synthetic_results import store_failure, write_study
from tuned_study import (
    STUDY,
    fail_trial,
    made,
    search_of,
    store_all,
    store_evaluation,
    store_trial,
    store_trials,
)


def accuracy(run: Run) -> float:
    """Tuned runs, which have another learning rate than 0.1, are two points better; seeds differ by 0.2 points."""
    return (0.9 if run.method == "snip" else 0.8) + 0.02 * (run.recipe.lr != 0.1) + 0.002 * run.seed


def table(kind: str, study: Study, store: Store, label: str, block: str | None = None) -> dict[str, tuple[str, str]]:
    """Numbers and symbols of a row by the headings of its columns."""
    found = make_table(kind, shown_study(study, store), store)
    row = next(row for row in found.rows if row.label == label and block in (None, row.block))
    return {
        column.heading: (cell.number or cell.text, "".join(note.symbol for note in cell.notes))
        for column, cell in zip(found.columns, row.cells, strict=True)
    }


def filled(folder: Path, text: str = STUDY) -> tuple[Study, Store]:
    study, store = made(folder, text)
    store_all(store, study)
    freeze(study, store)
    store_evaluation(store, study, accuracy)
    return study, store


def test_default_tuned_difference_and_oracle(tmp_path: Path) -> None:
    study, store = filled(tmp_path)
    found = table("tuning", study, store, "SNIP")
    assert found == {
        "default": ("90.20", ""),
        "tuned (A)": ("92.20", ""),
        "tuned (A) − default": ("+2.00", ""),
        "oracle": ("85.05", "⊗"),
    }


def test_a_trial_that_pruned_less_is_no_oracle(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    store_all(store, study)
    for run in search_of(study, "SNIP").trials[2].runs:
        store_trial(store, run, 0.95, sparsity__achieved=0.85)
    freeze(study, store)
    store_evaluation(store, study, accuracy)
    assert table("tuning", study, store, "SNIP")["oracle"] == ("85.05", "⊗")


def test_neither_the_oracle_nor_any_other_cell_is_ranked(tmp_path: Path) -> None:
    study, store = filled(tmp_path)
    shown = shown_study(study, store)
    for kind in OF_TUNED:
        assert not make_table(kind, shown, store).has_marks
    assert not any("oracle" in row.label for row in make_table("accuracy", shown, store).rows)
    note = next(text for symbol, text in make_table("tuning", shown, store).footnotes if symbol == "⊗")
    assert "TEST set" in note
    assert "never ranked" in note


def test_the_oracle_is_shown_only_when_all_of_its_row_is_evaluated(tmp_path: Path) -> None:
    study, store = filled(tmp_path)
    row = next(row for row in shown_study(study, store).rows if row.label == "SNIP (tuned)")
    assert row.run is not None
    store.folder(study.name, row.run).result_path.unlink()
    found = table("tuning", study, store, "SNIP")
    assert found["oracle"] == ("–", "")
    assert table("tuning", study, store, "Random")["oracle"] == ("85.05", "⊗")


def test_the_accuracy_table_ranks_default_and_tuned_rows(tmp_path: Path) -> None:
    study, store = filled(tmp_path)
    rows = {row.label: row.cells[0] for row in make_table("accuracy", shown_study(study, store), store).rows}
    assert (rows["SNIP (tuned)"].mark, rows["SNIP"].mark) == ("best", "second")
    assert set(rows) == {"Dense", "SNIP", "Random", "SNIP (tuned)", "Random (tuned)"}


def test_spread_cost_and_chosen_values_of_the_trials(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    search = search_of(study, "SNIP")
    store_trials(store, search, lambda number, place: 0.8 + 0.05 * number)
    for run in search.trials[1].runs:
        store.folder(study.name, run).result_path.unlink()
    fail_trial(store, search, 1)
    store_trial(store, search.trials[1].runs[1], 0.99)
    freeze(study, store)
    found = table("trials", study, store, "SNIP")
    values = search.trials[2]
    shown = ", ".join(f"{name}={value}" for name, value in {**values.train, **values.options}.items())
    assert found == {
        "best": ("90.00", ""), "median": ("80.00", ""), "worst": ("failed", ""), "number": ("3", ""),
        "unusable": ("1", "⊙"), "epochs": ("10", ""), "chosen values": (f"trial 2: {shown}", ""),
    }  # fmt: skip
    assert table("trials", study, store, "Random")["chosen values"] == ("not chosen", "")


def test_a_row_without_a_usable_trial_says_so(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    store_trials(store, search_of(study, "SNIP"), lambda number, place: 0.1)
    freeze(study, store)
    assert table("trials", study, store, "SNIP")["chosen values"] == ("trial 0: default", "∅")


def test_the_curve_starts_at_the_defaults(tmp_path: Path) -> None:
    study, store = filled(tmp_path)
    assert table("tuning-curve", study, store, "SNIP") == {
        "1 trial": ("90.20", ""), "2 trials": ("92.20", ""), "3 trials": ("92.20", ""),
    }  # fmt: skip


BOTH = STUDY.replace("seeds: [7, 8]}", "seeds: [7, 8], on: {dataset: mnist, model: lenet-300-100}, tracks: [A, B]}")


def test_both_tracks_and_their_difference(tmp_path: Path) -> None:
    study, store = made(tmp_path, BOTH)
    for search in searches(study.file, study.rows):
        best = 1 if search.track == "A" else 2
        store_trials(store, search, lambda number, place, best=best: 0.8 + 0.05 * (number == best))
    freeze(study, store)
    rates = {track: search_of(study, "SNIP", track).trials[1 if track == "A" else 2].train["lr"] for track in "AB"}
    store_evaluation(store, study, lambda run: 0.9 + {rates["A"]: 0.03, rates["B"]: 0.01}.get(run.recipe.lr, 0))
    found = table("tuning", study, store, "SNIP")
    assert {name: number for name, (number, _) in found.items()} == {
        "default": "90.00", "tuned (A)": "93.00", "tuned (B)": "91.00", "tuned (A) − default": "+3.00",
        "tuned (B) − default": "+1.00", "B − A": "-2.00", "oracle": "85.00",
    }  # fmt: skip
    assert table("trials", study, store, "SNIP", "90 %, track B")["chosen values"][0].startswith("trial 2: ")
    labels = {row.label for row in make_table("accuracy", shown_study(study, store), store).rows}
    assert {"SNIP (tuned)", "SNIP (tuned on mnist)"} <= labels


def test_before_the_choice_tuned_rows_wait(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    assert table("tuning", study, store, "SNIP")["tuned (A)"] == ("not chosen", "")
    rows = {row.label: row.cells[0].text for row in make_table("accuracy", shown_study(study, store), store).rows}
    assert rows["SNIP (tuned)"] == "not run"


def test_the_caption_names_the_selection_and_what_was_replaced(tmp_path: Path) -> None:
    study, store = filled(tmp_path)
    selection = freeze(study, store)
    assert selection is not None
    assert selection["hash"] in _caption(make_table("tuning", shown_study(study, store), store))
    store_trials(store, search_of(study, "SNIP"), lambda number, place: 0.8 + 0.05 * (number == 2))
    freeze(study, store)
    told = _caption(make_table("tuning", shown_study(study, store), store))
    assert "3 choices frozen before were replaced by these." in told


def _caption(found: Table) -> str:
    return " ".join(found.caption)


@pytest.mark.parametrize("kind", [*OF_TUNED])
def test_a_study_that_tunes_nothing_has_none_of_these_tables(tmp_path: Path, kind: str) -> None:
    study = write_study(tmp_path)
    with pytest.raises(UserError, match="study 'small' tunes nothing: it has no key 'tune'"):
        make_table(kind, study, Store(tmp_path))


def test_the_figure_shows_a_point_for_each_trial_and_rings_the_chosen_one(tmp_path: Path) -> None:
    study, store = filled(tmp_path)
    shown = shown_study(study, store)
    assert "tuning" in standard_kinds(study)
    figure = figures("tuning", [shown], store)["tuned", "tuning"]
    trials, curve = figure.axes
    points = [each for each in trials.collections if len(each.get_offsets())]
    assert len(points) == 2 * (3 + 1)
    assert [tick.get_text() for tick in trials.get_yticklabels()] == ["SNIP", "Random"]
    lines = {str(line.get_label()): line for line in curve.lines}
    assert list(lines["SNIP"].get_xdata()) == [1, 2, 3]
    assert list(lines["SNIP"].get_ydata()) == pytest.approx([90.2, 92.2, 92.2])


def test_failed_runs_count_at_chance_in_differences_and_ranks(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    store_all(store, study)
    freeze(study, store)
    store_evaluation(store, study, accuracy)
    for row in shown_study(study, store).rows:
        if row.run is not None and row.label == "Random":
            shutil.rmtree(store.folder(study.name, row.run).path)
            store_failure(store, study.name, row.run, "the loss is not finite")
    # tuned runs of the seeds 0, 1, 2 have 0.82, 0.822, 0.824; chance is 0.1
    assert table("tuning", study, store, "Random")["tuned (A) − default"][0] == "+72.20"
    assert table("paired", study, store, "Random") == {"90 %": ("-80.20", "×")}
    assert table("rank", study, store, "Random")["mean rank"] == ("4.00", "")


def test_trials_of_another_search_are_not_shown_as_those_of_a_choice_before(tmp_path: Path) -> None:
    study, store = filled(tmp_path, STUDY.replace("[1, 2, 3]", "[2]"))
    before = table("trials", study, store, "SNIP")
    more, _ = made(tmp_path, STUDY.replace("[1, 2, 3]", "3"))
    store_all(store, more)
    freeze(more, store)
    assert table("trials", study, store, "SNIP") == before
    other, _ = made(tmp_path, STUDY.replace("[1, 2, 3]", "4, search_seed: 5"))
    store_all(store, other)
    freeze(other, store)
    assert table("trials", study, store, "SNIP")["unusable"] == ("–", "")
    assert table("trials", other, store, "SNIP")["unusable"] == ("0", "")
