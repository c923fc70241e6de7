"""The trials of a study: equal in number, drawn from one seed, with values that the methods take."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.preflight.rehearsal import rehearse
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.studies.search_space import Choices, Range, draw, read_space
from prunebench.benchmark.studies.trials import runs_of, searches, shared_space, tuned_label
from prunebench.benchmark.studies.tune_checks import check_space
from prunebench.benchmark.tuning.ledger import ledger
from prunebench.methods.registry import describe, method_names
from synthetic_results import write_study
from tuned_study import STUDY, made, search_of


def test_values_are_the_inverse_of_their_distribution() -> None:
    assert draw(Range(0.0, 2.0), 0.25, False) == 0.5
    assert draw(Range(1e-4, 1.0, log=True), 0.5, False) == 0.01
    assert [draw(Range(1.0, 3.0), share, True) for share in (0.0, 0.34, 0.99)] == [1, 2, 3]
    assert [draw(Choices(("a", "b")), share, False) for share in (0.0, 0.49, 0.5, 0.99)] == ["a", "a", "b", "b"]
    assert draw(Range(0.1, 0.3, log=True), 0.123456, False) == 0.115, "three digits are the same text everywhere"


def test_all_searches_have_the_same_number_of_trials_and_of_runs(tmp_path: Path) -> None:
    study, _ = made(tmp_path)
    found = searches(study.file, study.rows)
    assert [(each.label, each.sparsity, len(each.trials)) for each in found] == [("SNIP", 0.9, 3), ("Random", 0.9, 3)]
    assert {len(trial.runs) for each in found for trial in each.trials} == {2}
    assert {(each.trials, each.runs) for each in ledger(study)} == {(3, 6)}
    assert [each.epochs for each in ledger(study)] == [6 * 2, 6 * 3]


def test_trial_0_is_the_study_on_a_tuning_seed_with_a_dense_training_of_that_seed(tmp_path: Path) -> None:
    study, _ = made(tmp_path)
    first = search_of(study, "Random").trials[0]
    assert (first.train, first.options) == ({}, {})
    (run, _), own = first.runs, search_of(study, "Random").rows[0].run
    assert own is not None
    assert run.parent is not None
    assert (run.seed, run.parent.seed, run.recipe, run.method_options) == (7, 7, own.recipe, own.method_options)


def test_seeds_of_trials_and_of_the_evaluation_are_disjoint(tmp_path: Path) -> None:
    study, _ = made(tmp_path)
    tried = {run.seed for run in runs_of(searches(study.file, study.rows))}
    assert tried == {7, 8}
    assert tried.isdisjoint({run.seed for run in study.runs})


def test_shared_knobs_have_the_same_values_for_all_methods_and_options_at_all_sparsities(tmp_path: Path) -> None:
    study, _ = made(tmp_path, STUDY.replace("sparsity: 90%", "sparsity: [90%, 95%]"))
    found = searches(study.file, study.rows)
    for number in (1, 2):
        assert len({tuple(each.trials[number].train.items()) for each in found}) == 1
        assert set(found[0].trials[number].train) == {"lr", "weight_decay"}
        snip = [each.trials[number].options for each in found if each.label == "SNIP"]
        assert snip[0] == snip[1]
        assert set(snip[0]) == {"score_samples", "mode"}
    assert found[-1].trials[1].options == {}, "a method without knobs spends its trials on the shared ones"


def test_a_larger_budget_keeps_the_first_trials_and_another_seed_draws_others(tmp_path: Path) -> None:
    study, _ = made(tmp_path)
    more, _ = made(tmp_path, STUDY.replace("[1, 2, 3]", "9"))
    other, _ = made(tmp_path, STUDY.replace("seeds: [7, 8]}", "seeds: [7, 8], search_seed: 1}"))
    trials = search_of(study, "SNIP").trials
    assert search_of(more, "SNIP").trials[:3] == trials
    assert search_of(other, "SNIP").trials[0] == trials[0]
    assert search_of(other, "SNIP").trials[1].train != trials[1].train


def test_the_trials_of_a_study_stay_the_same(tmp_path: Path) -> None:
    """Golden: other values would orphan stored trials."""
    study, _ = made(tmp_path)
    first = search_of(study, "SNIP").trials[1]
    assert first.train == {"lr": 0.0217, "weight_decay": 2.71e-05}
    assert first.options == {"score_samples": 166, "mode": "train"}


def test_what_a_row_sets_is_not_searched_for(tmp_path: Path) -> None:
    text = STUDY.replace(
        "    sparsity: 90%\n", "    sparsity: 90%\n  - {method: snip, sparsity: 90%, options: {mode: eval}}\n"
    )
    study, _ = made(tmp_path, text)
    assert set(search_of(study, "SNIP (mode=eval)").trials[1].options) == {"score_samples"}
    assert all(
        dict(run.method_options)["mode"] == "eval"
        for trial in search_of(study, "SNIP (mode=eval)").trials
        for run in trial.runs
    )


def test_a_study_may_replace_spaces_and_shared_ranges(tmp_path: Path) -> None:
    study, _ = made(
        tmp_path,
        STUDY.replace(
            "seeds: [7, 8]}",
            "seeds: [7], spaces: {snip: {score_samples: [5, 6]}}, train: {lr: [0.5], weight_decay: [0.0, 0.1]}}",
        ),
    )
    trial = search_of(study, "SNIP").trials[1]
    assert set(trial.options) == {"score_samples"}
    assert trial.options["score_samples"] in (5, 6)
    assert (trial.train["lr"], trial.train["weight_decay"] in (0.0, 0.1)) == (0.5, True)


def test_default_ranges_of_shared_knobs_follow_the_dense_recipe(tmp_path: Path) -> None:
    study, _ = made(tmp_path)
    assert shared_space(study.file) == {
        "lr": Range(0.1 / 30, 3 * 0.1, log=True),
        "weight_decay": Range(1e-5, 1e-2, log=True),
    }


def test_track_b_changes_data_and_network_and_nothing_else(tmp_path: Path) -> None:
    study, _ = made(
        tmp_path,
        STUDY.replace("seeds: [7, 8]}", "seeds: [7], on: {dataset: mnist, model: lenet-300-100}, tracks: [A, B]}"),
    )
    assert study.file.tune is not None
    here, there = search_of(study, "Random", "A").trials[1], search_of(study, "Random", "B").trials[1]
    assert (here.train, here.options) == (there.train, there.options)
    (one,), (other,) = here.runs, there.runs
    assert other.parent is not None
    assert (other.dataset, other.model, other.parent.dataset, other.parent.model) == ("mnist", "lenet-300-100") * 2
    assert (one.recipe, one.sparsity, one.seed) == (other.recipe, other.sparsity, other.seed)
    assert tuned_label("Random", "B", study.file.tune) == "Random (tuned on mnist)"


def test_every_declared_space_names_options_and_values_that_the_method_takes() -> None:
    declared = {name: describe(name).search_space for name in method_names()}
    for name, space in declared.items():
        for option, values in space.items():
            check_space(name, option, read_space(values))
    assert sum(bool(space) for space in declared.values()) >= 20


@pytest.mark.parametrize("method", sorted(name for name in method_names() if describe(name).search_space))
def test_a_network_of_the_suite_takes_the_trials_of_a_method(method: str, tmp_path: Path) -> None:
    study, _ = made(
        tmp_path, STUDY.replace("[snip, random]", method).replace("epochs: 2", "epochs: 6").replace("[1, 2, 3]", "12")
    )
    rehearse([trial.runs[0] for search in searches(study.file, study.rows) for trial in search.trials])


def test_ids_of_studies_without_tune_and_of_the_rows_beside_trials_stay(tmp_path: Path) -> None:
    plain = write_study(tmp_path, STUDY[: STUDY.index("\ntune:") + 1])
    assert [run.id for run in made(tmp_path)[0].runs] == [run.id for run in plain.runs]
    assert searches(plain.file, plain.rows) == []
    assert load_study("demo").file.tune is None
