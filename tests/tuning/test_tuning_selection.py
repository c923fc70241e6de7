"""What is chosen: the best on validation, never a trial that failed, and frozen in a file without any test value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark.runs.files import write_json
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.studies.trials import searches
from prunebench.benchmark.tuning.scores import measured, scores
from prunebench.benchmark.tuning.selection import StoredChoice, freeze, read_selection, selection_path
from prunebench.benchmark.tuning.stages import progress, replaced_lines, shown_study, trial_studies, unchecked_trials
from synthetic_results import make_result, store_result
from tuned_study import STUDY, fail_trial, made, search_of, store_all, store_trial, store_trials


def chosen(store: Store, study: Study, label: str = "SNIP", number: int = 3) -> StoredChoice:
    selection = freeze(study, store)
    assert selection is not None
    return next(each for each in selection["choices"] if (each["label"], each["num_trials"]) == (label, number))


def test_the_best_mean_over_the_tuning_seeds_is_chosen(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    # trial 1 has the best single run, trial 2 the best mean
    accuracy = {0: (0.80, 0.80), 1: (0.95, 0.75), 2: (0.86, 0.88)}
    store_trials(store, search_of(study, "SNIP"), lambda number, place: accuracy[number][place])
    found = chosen(store, study)
    assert (found["trial"], found["validation"], found["is_usable"]) == (2, pytest.approx(0.87), True)
    assert found["options"] == dict(search_of(study, "SNIP").trials[2].options)
    assert [chosen(store, study, number=number)["trial"] for number in (1, 2)] == [0, 1]


def test_of_equal_trials_the_cheaper_one_is_chosen_and_then_the_first(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    search = search_of(study, "SNIP")
    store_trials(store, search, lambda number, place: 0.9)
    assert chosen(store, study)["trial"] == 0
    for run in search.trials[2].runs:
        store_trial(store, run, 0.9, cost__epochs=1)
    assert chosen(store, study)["trial"] == 2


def test_a_failed_trial_is_never_chosen_and_does_not_hold_up_the_choice(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    search = search_of(study, "SNIP")
    fail_trial(store, search, 1)
    store_trial(store, search.trials[1].runs[1], 0.99)
    for number in (0, 2):
        for run in search.trials[number].runs:
            store_trial(store, run, 0.5 + 0.1 * number)
    assert chosen(store, study)["trial"] == 2
    assert [score.state for score in scores(search, study.name, store)] == ["usable", "failed", "usable"]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"sparsity__empty_layers": ["conv1.weight"]}, "collapsed"),
        ({"accuracy__selected_validation": 0.11}, "collapsed"),
        ({"sparsity__achieved": 0.85}, "denser"),
        ({"sparsity__achieved": 0.8985}, "denser"),
        ({"sparsity__achieved": 0.8991}, "usable"),
        ({"sparsity__achieved": 0.93}, "usable"),
    ],
)
def test_a_trial_that_collapsed_or_pruned_too_little_is_never_chosen(
    tmp_path: Path, changes: dict[str, Any], state: str
) -> None:
    study, store = made(tmp_path)
    search = search_of(study, "SNIP")
    store_trials(store, search, lambda number, place: 0.9)
    for run in search.trials[1].runs:
        store_result(store, study.name, run, 0.99, **changes)
    assert scores(search, study.name, store)[1].state == state
    assert chosen(store, study)["trial"] == (1 if state == "usable" else 0)


def test_a_method_that_sets_its_own_sparsity_may_not_keep_more_than_with_its_defaults(tmp_path: Path) -> None:
    study, store = made(tmp_path, STUDY.replace("  - method: [snip, random]\n    sparsity: 90%\n", "  - method: str\n"))
    search = search_of(study, "STR")
    for number, reached in enumerate((0.7, 0.5, 0.8)):
        for run in search.trials[number].runs:
            store_trial(store, run, 0.9 - 0.1 * reached, sparsity__achieved=reached)
    assert [score.state for score in scores(search, study.name, store)] == ["usable", "denser", "usable"]
    assert chosen(store, study, "STR")["trial"] == 0


def test_without_a_usable_trial_the_row_keeps_the_values_of_the_study(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    search = search_of(study, "SNIP")
    for number in range(3):
        fail_trial(store, search, number)
        store_trial(store, search.trials[number].runs[1], 0.9)
    found = chosen(store, study)
    assert (found["trial"], found["is_usable"], found["validation"]) == (0, False, None)


def test_nothing_is_chosen_before_all_trials_of_a_search_have_ended(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    search = search_of(study, "SNIP")
    store_trials(store, search, lambda number, place: 0.9)
    missing = store.folder(study.name, search.trials[2].runs[1])
    missing.result_path.unlink()
    assert freeze(study, store) is None
    assert not selection_path(study.name, store).exists()
    rows = [row for row in shown_study(study, store).rows if row.is_tuned]
    assert [(row.label, row.run) for row in rows] == [("SNIP (tuned)", None), ("Random (tuned)", None)]
    assert all("trials are not chosen from yet" in row.not_run for row in rows)


def test_tuned_rows_are_ordinary_runs_on_the_seeds_of_the_study(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    store_all(store, study)
    freeze(study, store)
    trial = search_of(study, "SNIP").trials[1]
    rows = [row for row in shown_study(study, store).rows if row.label == "SNIP (tuned)"]
    assert [row.seed for row in rows] == [0, 1, 2]
    for row in rows:
        assert row.run is not None
        assert (row.run.recipe.lr, row.run.recipe.weight_decay) == (trial.train["lr"], trial.train["weight_decay"])
        assert dict(row.run.method_options) == {"score_samples": 166}, "an option with its default is left out"


class NoTest(Mapping[str, Any]):
    """A result in which reading any number of the test set is an error."""

    FORBIDDEN = ("before", "pruned", "last", "last_top5", "selected", "selected_top5", "best_test", "best_test_epoch")

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content

    def __getitem__(self, key: str) -> Any:
        assert key not in self.FORBIDDEN, f"{key} was read"
        value = self.content[key]
        return NoTest(value) if isinstance(value, Mapping) else value

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("all values were read")

    def __len__(self) -> int:
        return len(self.content)


def test_of_a_stored_result_no_number_of_the_test_set_is_read(tmp_path: Path) -> None:
    study, _ = made(tmp_path)
    run = search_of(study, "SNIP").trials[0].runs[0]
    assert measured(run, NoTest(make_result(study.name, run, 0.9))).validation == 0.9
    with pytest.raises(AssertionError, match="last was read"):
        _ = NoTest(make_result(study.name, run, 0.9))["accuracy"]["last"]


def test_other_test_accuracies_leave_the_file_as_it_is_byte_for_byte(tmp_path: Path) -> None:
    files = []
    for name, test in (("one", lambda value: value), ("other", lambda value: 1 - value)):
        (tmp_path / name).mkdir()
        study, store = made(tmp_path / name)
        for search in searches(study.file, study.rows):
            for trial in search.trials:
                for place, run in enumerate(trial.runs):
                    validation = 0.8 + 0.03 * ((trial.number + place) % 3)
                    store_trial(store, run, validation, test=test(validation))
        freeze(study, store)
        files.append(selection_path(study.name, store).read_bytes())
    assert files[0] == files[1]
    assert b"time" not in files[0]


def test_the_file_is_written_once_and_says_what_was_replaced(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    store_all(store, study)
    first = freeze(study, store)
    path = selection_path(study.name, store)
    state = path.stat().st_mtime_ns
    assert freeze(study, store) == first
    assert path.stat().st_mtime_ns == state
    store_trials(store, search_of(study, "SNIP"), lambda number, place: 0.8 + 0.05 * (number == 2))
    second = freeze(study, store)
    assert first is not None
    assert second is not None
    assert second["hash"] != first["hash"]
    before = next(each for each in first["choices"] if (each["label"], each["num_trials"]) == ("SNIP", 3))
    assert before in second["replaced"]
    assert {each["label"] for each in second["replaced"]} == {"SNIP"}
    assert before["hash"] in replaced_lines(second)[0]


def test_a_part_of_the_study_keeps_the_choices_of_the_other_rows(tmp_path: Path) -> None:
    from prunebench.benchmark.studies.load import load_study

    study, store = made(tmp_path)
    store_all(store, study)
    whole = freeze(study, store)
    part = load_study(str(tmp_path / "study.yaml"), only=("method=random",))
    again = freeze(part, store)
    assert whole is not None
    assert again is not None
    assert sorted(each["hash"] for each in again["choices"]) == sorted(each["hash"] for each in whole["choices"])
    assert again["replaced"] == []


def test_a_choice_among_other_trials_is_not_taken(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    store_all(store, study)
    freeze(study, store)
    other, _ = made(tmp_path, STUDY.replace("seeds: [7, 8]}", "seeds: [7, 9]}"))
    assert progress(study, store).is_chosen
    assert progress(other, store).num_chosen == 0
    assert all(row.run is None for row in shown_study(other, store).rows if row.is_tuned)


def test_progress_says_what_the_choice_waits_for(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    assert progress(study, store).lines()[1] == "selection: waits for the trials; then tuned rows are evaluated"
    store_all(store, study)
    assert "is made by the next `run` or `submit`" in progress(study, store).lines()[1]


def test_progress_tells_choices_of_another_tune_apart(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    store_all(store, study)
    frozen = freeze(study, store)
    assert frozen is not None
    own = f"selection: {frozen['hash']}, 2 of 2 searches are chosen from"
    assert progress(study, store).lines()[1] == own
    # of three numbers of trials one is left, which was chosen among for both rows
    fewer, _ = made(tmp_path, STUDY.replace("[1, 2, 3]", "[2]"))
    assert progress(fewer, store).lines()[1] == f"{own}; 4 choices in it of another `tune`"


def test_a_damaged_file_is_named_kept_and_chosen_anew(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    store_all(store, study)
    made_first = freeze(study, store)
    path = selection_path(study.name, store)
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), "choices": 3})
    fresh = Store(store.root)
    assert read_selection(study.name, fresh) is None
    assert "choices: Input should be a valid list" in fresh.damaged[path]
    assert freeze(study, fresh) == made_first
    assert path.with_name("selection.json.damaged").exists()


def test_values_that_do_not_go_together_are_left_to_fail_but_not_those_of_the_study(tmp_path: Path) -> None:
    study, _ = made(tmp_path)
    unchecked = unchecked_trials(study)
    runs = {row.run.id for part in trial_studies(study) for row in part.rows if row.run}
    first = {run.id for label in ("SNIP", "Random") for run in search_of(study, label).trials[0].runs}
    assert unchecked == runs - first
