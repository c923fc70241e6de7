"""Claims as text: what is understood, and one line for what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.studies.claims import read_claim
from prunebench.benchmark.studies.load import Study, load_study, study_names
from synthetic_results import STUDY, write_study

MORE = """\
  - {method: snip, sparsity: 99%, not_run: too few weights}
  - {method: global_mp, sparsity: 90%, label: "Global MP, 3 > 2", options: {minimum_threshold: 0.1}}
  - {method: dense_longer, label: Longer}
  - {method: random, sparsity: 90%, label: 'drawn "blindly"', options: {dense: [last]}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path, STUDY + MORE)


@pytest.mark.parametrize(
    ("text", "better", "worse", "margin", "targets"),
    [
        ("snip > Random", "SNIP", "Random", None, (0.9, 0.95)),
        ("SNIP<Random at 90%", "Random", "SNIP", None, (0.9,)),
        ("snip >= Random at 95%, 0.9 within 0.5", "SNIP", "Random", 0.5, (0.9, 0.95)),
        ("snip <= Random within 1", "Random", "SNIP", 1, (0.9, 0.95)),
        ("'Global MP, 3 > 2' > snip", "Global MP, 3 > 2", "SNIP", None, (0.9,)),
        ("'drawn \"blindly\"' < snip", "SNIP", 'drawn "blindly"', None, (0.9,)),
        ("Global MP > snip at 90%", "Global MP", "SNIP", None, (0.9,)),
        ("snip >= dense within 2", "SNIP", "Dense", 2, (0.9, 0.95)),
        ("Longer > dense", "Longer", "Dense", None, (0.0,)),
    ],
)
def test_what_a_claim_says(
    study: Study, text: str, better: str, worse: str, margin: float | None, targets: tuple[float, ...]
) -> None:
    claim = read_claim(text, study.rows)
    assert (claim.better, claim.worse, claim.margin, claim.targets) == (better, worse, margin, targets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("snip is best", "is not understood: a claim reads"),
        ("snip > snap", "unknown row 'snap'; known: Dense"),
        ("snip > grasp", "unknown row 'grasp'; known: Dense"),
        ("global_mp > snip", "method 'global_mp' has several rows; name one of them: Global MP, Global MP, 3 > 2"),
        ("snip > SNIP", "compares 'SNIP' with itself"),
        ("snip > Random at 80%", "the study does not run both rows at 80%; known: 90%, 95%"),
        # listed with a reason, never run
        ("snip > Random at 99%", "the study does not run both rows at 99%"),
        ("snip > Random at 90%,", "'' is not a sparsity such as 90% or 0.9"),
        (" > snip", "unknown row ''"),
        ("snip > Random at 90", "'90' is not a sparsity such as 90% or 0.9"),
        ("snip > Random at 90%, 100%", "'100%' is not a sparsity such as 90% or 0.9"),
        ("snip > Random within 1", "'within' goes with >= or <=, not with >"),
        ("snip >= Random within 1.2.3", "'within' takes points of accuracy such as 0.5, not '1.2.3'"),
        ("snip >= Random within -1", "'within' takes points of accuracy such as 0.5, not '-1'"),
        ("snip >= Random within inf", "'within' takes points of accuracy such as 0.5, not 'inf'"),
    ],
)
def test_bad_claims_are_one_line(study: Study, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_claim(text, study.rows)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_study_file_is_checked_with_the_place_of_the_claim(tmp_path: Path) -> None:
    text = STUDY + "claims:\n  - snip > Random\n  - snip > grasp\n"
    with pytest.raises(UserError, match=r"study\.yaml:15: claim 'snip > grasp': unknown row 'grasp'"):
        write_study(tmp_path, text)


def test_claims_stay_behind_where_an_extending_study_has_other_rows(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(STUDY + "claims: [snip > Random]\n", encoding="utf-8")
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text("extends: base\nname: same\n", encoding="utf-8")
    other.write_text("extends: base\nname: other\nruns: [{method: [snip, grasp], sparsity: 90%}]\n", encoding="utf-8")
    assert load_study(str(same)).file.claims == ["snip > Random"]
    assert load_study(str(other)).file.claims == []


def test_the_papers_tables_state_what_the_paper_claims() -> None:
    with_claims = {name for name in study_names() if load_study(name).file.claims}
    assert {"table2", "table3", "table4", "table5", "table6", "table8"} <= with_claims
    assert "table6-controls" not in with_claims
