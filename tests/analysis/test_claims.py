"""Claims are decided by a paired t-test, corrected for all claims tested together; the expected p are scipy's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from prunebench.benchmark.analysis.claims import Finding, check_claims
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.claims import read_claim
from scipy.stats import ttest_1samp
from synthetic_results import STUDY, fill, write_study

NINE = {"Dense": [90, 90, 90], "SNIP": [81, 82, 84], "Random": [80, 80, 80], "Global MP": [80.2, 79.9, 80]}


def check(
    folder: Path, claims: Sequence[str], percent: Mapping[str, Sequence[float]], text: str = STUDY
) -> list[Finding]:
    """The findings on results of 90 % sparsity, given in percent by label and seed."""
    folder.mkdir(exist_ok=True)
    study, store = write_study(folder, text), Store(folder / "results")
    values = {}
    for row in study.rows:
        numbers = percent.get(row.label, [])
        if row.run is not None and row.sparsity in (0.0, 0.9) and row.seed < len(numbers):
            values[row.run.id] = numbers[row.seed] / 100
    fill(store, study, lambda run: values.get(run.id))
    return check_claims([read_claim(claim, study.rows) for claim in claims], read_results(study, store).frame)


def test_a_claim_holds_fails_or_is_undecided(tmp_path: Path) -> None:
    claims = ["snip > random at 90%", "snip < random at 90%", "snip > random at 95%", "global_mp > random at 90%"]
    holds, reverse, missing, equal = check(tmp_path, claims, {**NINE, "SNIP": [81, 81.1, 81.2]})
    assert (holds.verdict, reverse.verdict) == ("holds", "fails")
    assert holds.interval is not None
    assert holds.interval.mean == pytest.approx(0.011)
    assert missing.verdict == equal.verdict == "undecided"
    assert missing.interval is None
    assert missing.p_value is None


def test_the_margin_moves_what_is_tested(tmp_path: Path) -> None:
    """Differences of 1.0, 1.1 and 1.2 points to the other side: within 2 points, but not within 0.5."""
    results = {**NINE, "SNIP": [79, 78.9, 78.8]}
    wide, narrow, none = check(
        tmp_path,
        ["snip >= random at 90% within 2", "snip >= random at 90% within 0.5", "snip >= random at 90%"],
        results,
    )
    assert (wide.verdict, narrow.verdict, none.verdict) == ("holds", "fails", "fails")


def test_p_values_are_scipys_and_corrected_for_all_tests(tmp_path: Path) -> None:
    first, second = check(tmp_path, ["snip > random at 90%", "global_mp > random at 90%"], NINE)
    alone = ttest_1samp([1, 2, 4], 0).pvalue, ttest_1samp([0.2, -0.1, 0], 0).pvalue
    assert alone[0] < alone[1]
    assert first.p_value == pytest.approx(2 * alone[0])
    assert second.p_value == pytest.approx(max(alone[1], 2 * alone[0]))


def test_the_correction_can_undo_a_finding(tmp_path: Path) -> None:
    """Differences of 1.0, 1.1 and 1.4 points have p = 0.011: enough alone, not as one of five claims."""
    results = {**NINE, "SNIP": [81, 81.1, 81.4]}
    claim, others = "snip > random at 90%", ["global_mp > random at 90%"] * 4
    assert [found.verdict for found in check(tmp_path / "one", [claim], results)] == ["holds"]
    assert check(tmp_path / "five", [claim, *others], results)[0].verdict == "undecided"


def test_two_seeds_decide_nothing(tmp_path: Path) -> None:
    (found,) = check(tmp_path, ["snip > random at 90%"], {**NINE, "SNIP": [89, 89]})
    assert found.verdict == "undecided"
    assert found.p_value is None
    assert found.interval is not None
    assert found.interval.count == 2


def test_a_dense_row_stands_at_each_sparsity(tmp_path: Path) -> None:
    (found,) = check(tmp_path, ["snip >= dense at 90% within 12"], {**NINE, "SNIP": [81, 81.1, 81.2]})
    assert found.verdict == "holds"
    assert found.interval is not None
    assert found.interval.mean == pytest.approx(-0.089)


def test_runs_that_prune_nothing_stay_out_of_the_other_sparsities_of_their_row(tmp_path: Path) -> None:
    """SNIP at a sparsity of 0 has 81 to 81.2 % as well: nothing of it is in the finding at 95 %."""
    text = STUDY.replace("sparsity: [90%, 95%]", "sparsity: [0, 90%, 95%]")
    claims = ["snip > random at 90%", "snip > random at 95%"]
    first, second = check(tmp_path, claims, {**NINE, "SNIP": [81, 81.1, 81.2]}, text)
    assert first.interval is not None
    assert (first.interval.count, first.interval.mean) == (3, pytest.approx(0.011))
    assert second.interval is None


KNOB = """
name: knob
dataset: digits
model: convnet-small
seeds: [0, 1, 2]
retrain_seeds: [0, 1]
measure: [lmc, cka]
train: {epochs: 6, batch_size: 64, lr: 0.1}
three_regime: {knob: epochs, values: [1, 3, 6], density: [10%, 40%], method: layerwise_mp}
"""


def test_two_values_of_a_knob_are_paired_by_the_seed_and_retrainings_averaged(tmp_path: Path) -> None:
    study, store = write_study(tmp_path, KNOB), Store(tmp_path / "results")
    gains = {"epochs 1": [0, 0, 0], "epochs 3": [1, 2, 4], "epochs 6": [-1, 1.5, 0]}
    values: dict[str, float] = {}
    for row in study.rows:
        if row.run is not None and row.label in gains:
            gain = gains[row.label][row.seed]
            values[row.run.id] = 0.8 + (gain + (-3 if row.retrain_seed == 0 else 3)) / 100
    fill(store, study, lambda run: values.get(run.id, 0.9))
    claims = [read_claim(text, study.rows) for text in ("epochs 3 > epochs 1 at 90%", "epochs 6 > epochs 1 at 90%")]
    first, second = check_claims(claims, read_results(study, store).frame)
    assert first.interval is not None
    assert (first.interval.mean, first.interval.count) == (pytest.approx(0.07 / 3), 3)
    assert first.p_value == pytest.approx(2 * ttest_1samp([1, 2, 4], 0).pvalue)
    assert second.p_value == pytest.approx(max(ttest_1samp([-1, 1.5, 0], 0).pvalue, first.p_value))
