"""The head of the report: sentences that are computed, checked with numbers worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pages import page_of
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.report.answer import Answer, answer
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from synthetic_results import PRINTED_STUDY, STUDY, fill, store_failure, store_result, write_study


def answer_of(study: Study, store: Store, accuracy: str = "last") -> Answer:
    return answer(read_results(study, store), accuracy)


def findings(study: Study, store: Store) -> dict[str, str]:
    return {finding.about: finding.text for finding in answer_of(study, store).findings}


def filled(folder: Path, accuracy: Callable[[Run], float | None], text: str = STUDY) -> tuple[Study, Store]:
    study, store = write_study(folder, text), Store(folder / "results")
    fill(store, study, accuracy)
    return study, store


def test_the_best_is_named_with_its_distance_to_the_next(made: tuple[Study, Store]) -> None:
    """Differences of 2 points in all three seeds; the step between accuracies is 0.2 points, so that their deviation
    counts as 0.1: t(0.975, 2) * 0.1 / sqrt(3) = 0.248. At 95 % one run of SNIP failed, which counts as guessing."""
    found = findings(*made)
    assert found["Dense"] == "Dense has 98.20 %."
    assert found["90 %"] == (
        "Global MP is best with 96.20 %, 2.00 points (95 % interval 1.75 to 2.25, 3 pairs) above SNIP."
    )
    assert found["95 %"] == (
        "Global MP is best with 96.20 %, 16.00 points (95 % interval 15.75 to 16.25, 3 pairs) above Random."
    )
    assert found["Diverged"] == "1 run stopped because the loss was not finite: SNIP at 95 %."


def test_equal_means_are_told_of_both_rows(tmp_path: Path) -> None:
    """Equal in all seeds: the interval is that of the step between accuracies, as above."""
    table = {"dense": 0.98, "global_mp": 0.96, "snip": 0.96}
    study, store = filled(tmp_path, lambda run: table.get(run.method, 0.90))
    assert findings(study, store)["90 %"].startswith(
        "Global MP has the highest mean, 96.00 %, and so has SNIP: a difference of 0.00 points (95 % interval "
    )


def test_an_interval_that_holds_zero_is_told_as_such(tmp_path: Path) -> None:
    """Global MP - SNIP: 1.0, -0.2, 0.4, mean 0.4, deviation 0.6: t(0.975, 2) * 0.6 / sqrt(3) = 1.49."""
    snip = (0.950, 0.962, 0.956)
    table = {"dense": lambda seed: 0.98, "global_mp": lambda seed: 0.96, "snip": snip.__getitem__}
    study, store = filled(tmp_path, lambda run: table.get(run.method, lambda seed: 0.90)(run.seed))
    assert findings(study, store)["90 %"] == (
        "Global MP has the highest mean, 96.00 %, 0.40 points (95 % interval −1.09 to 1.89, 3 pairs) above SNIP, which "
        "is not distinguishable from it."
    )


def test_collapses_are_named_and_a_collapsed_row_is_not_best(tmp_path: Path) -> None:
    def accuracy(run: Run) -> float:
        return {"dense": 0.98, "global_mp": 0.10 if run.seed == 0 else 0.97, "snip": 0.5}.get(run.method, 0.4)

    study, store = filled(tmp_path, accuracy)
    emptied = next(run for run in study.runs if (run.method, run.sparsity, run.seed) == ("random", 0.95, 1))
    store_result(store, study.name, emptied, 0.4, sparsity__empty_layers=["mid.weight"])
    found = findings(study, store)
    assert found["90 %"].startswith("SNIP is best with 50.00 %, 10.00 points")
    assert found["90 %"].endswith("With a higher mean, but a collapsed or failed run: Global MP.")
    assert found["95 %"] == (
        "SNIP has 50.00 %; no other row can be compared with it. With a higher mean, but a collapsed or failed run: "
        "Global MP."
    )
    assert found["Collapsed"] == (
        "A layer without weights, or an accuracy at chance: Global MP at 90 % (1 of 3, at chance); Global MP at 95 % "
        "(1 of 3, at chance); Random at 95 % (1 of 3, 1 with an emptied layer)."
    )


def test_what_is_missing_is_told_apart_from_what_failed(tmp_path: Path) -> None:
    study, store = filled(tmp_path, lambda run: 0.9 if run.seed == 0 else None)
    store_failure(store, study.name, study.runs[-1], "ValueError: no")
    found = findings(study, store)
    assert found["Dense"] == "Dense has 90.00 % (1 of 3 runs)."
    assert found["Failed"] == "1 run failed for another reason (see Failures): Random at 95 %."
    assert found["Incomplete"] == "Of 21 runs, 13 missing; means are over what is stored."


def printed(folder: Path, at_95: float) -> tuple[Study, Store]:
    def accuracy(run: Run) -> float:
        if run.method == "snip" and run.sparsity == 0.95:
            return at_95 + 0.004 * (run.seed == 1)
        return {"global_mp": 0.96, "snip": 0.94}.get(run.method, 0.5) + 0.002 * run.seed

    return filled(folder, accuracy, PRINTED_STUDY)


@pytest.mark.parametrize(
    ("at_95", "outcome", "reason"),
    [(0.90, "holds", ""), (0.99, "fails", ""), (0.96, "undecided", "not distinguishable")],
)
def test_each_printed_order_holds_fails_or_cannot_be_told(
    at_95: float, outcome: str, reason: str, tmp_path: Path
) -> None:
    """Table 2 prints Global MP above SNIP, SM, DSR and DPF at 90 and 95 %, and DPF above Global MP at 97.5 %."""
    study, store = printed(tmp_path, at_95)
    claims = {claim.text: claim for claim in answer_of(study, store).claims}
    assert len(claims) == 12
    assert "DPF above Global MP (one-shot) at 97.5 %" in claims
    first = claims["Global MP (one-shot) above SNIP at 90 %"]
    assert (first.outcome, first.reason, round(first.printed, 2)) == ("holds", "", 0.81)
    second = claims["Global MP (one-shot) above SNIP at 95 %"]
    assert (second.outcome, second.reason) == (outcome, reason)
    other = claims["Global MP (one-shot) above SM at 90 %"]
    assert (other.outcome, other.reason) == ("undecided", "SM is not run in this study")
    counts = {"holds": 1, "fails": 0, "undecided": 10}
    counts[outcome] += 1
    text = findings(study, store)["The paper"]
    shown = "; ".join(f"{name}: {number}" for name, number in counts.items()).replace("holds", "holds here", 1)
    assert f"the paper's method above or below another row 12 times. Its order {shown}." in text
    assert ("Failing: Global MP (one-shot) above SNIP at 95 %." in text) is (outcome == "fails")
    assert "report --accuracy best_test" in text


def test_the_page_lists_the_printed_orders(tmp_path: Path) -> None:
    text = page_of(*printed(tmp_path, 0.99))
    assert '<th scope="row">Global MP (one-shot) above SNIP at 95 %</th><td class="outcome fails">fails</td>' in text
    assert "undecided: SM is not run in this study" in text


def test_a_study_without_printed_numbers_has_no_claims(made: tuple[Study, Store]) -> None:
    assert answer_of(*made).claims == []
    assert 'id="claims"' not in page_of(*made)


def test_variants_beside_one_printed_row_are_judged_once(tmp_path: Path) -> None:
    """Table 6 has three blocks of Vanilla training, STR and Global MP; the study has a second row beside one."""
    study = load_study("table6")
    claims = answer_of(study, Store(tmp_path)).claims
    assert len(claims) == len({claim.text for claim in claims}) == 6
    assert {claim.reason for claim in claims} == {"no run of Global MP (columns) is stored"}


def test_the_studys_own_claims_are_told_with_their_verdicts(tmp_path: Path) -> None:
    study = write_study(tmp_path, STUDY + "claims: [snip > random, snip < random at 90%, snip > global_mp]\n")
    store = Store(tmp_path)
    levels = {"dense": 0.9, "snip": 0.85, "random": 0.80, "global_mp": 0.85}
    fill(store, study, lambda run: levels[run.method])
    told = [(each.text, each.is_warning) for each in answer_of(study, store).findings if each.about == "Claim"]
    assert told == [
        ("snip > random: holds at 90 %, 95 %.", False),
        ("snip < random at 90%: fails at 90 %.", True),
        ("snip > global_mp: undecided at 90 %, 95 %.", False),
    ]
    part = load_study(str(tmp_path / "study.yaml"), only=["method=dense,random"])
    assert not [each for each in answer_of(part, store).findings if each.about == "Claim"]


def test_why_no_row_is_compared_is_told(tmp_path: Path) -> None:
    """At 90 % two rows miss the sparsity and one is at chance, at 95 % all miss it."""
    study, store = filled(tmp_path, lambda run: 0.1 if run.method == "random" else 0.9)
    for run in study.runs:
        if run.method != "dense" and (run.method != "random" or run.sparsity == 0.95):
            store_result(store, study.name, run, 0.9, sparsity__achieved=run.sparsity - 0.01)
    found = findings(study, store)
    assert found["90 %"] == "No row can be compared: 2 missed the sparsity, 1 collapsed or failed."
    assert found["95 %"] == "No row can be compared: all missed the sparsity."


def test_every_row_of_dense_training_is_told(tmp_path: Path) -> None:
    study = load_study("three-regime-digits")
    store = Store(tmp_path)
    fill(store, study, lambda run: 0.7 + 0.03 * (run.recipe.stop_epoch or 6) if run.method == "dense" else 0.5)
    assert findings(study, store)["Dense"] == (
        "Dense, epochs 1 has 73.00 %; Dense, epochs 3 has 79.00 %; Dense, epochs 6 has 88.00 %."
    )
