"""Controls that a study requires: found among its rows, or one line that says which is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.studies.controls import control_set
from prunebench.benchmark.studies.load import load_study
from prunebench.methods.listing.controls import CONTROLS
from prunebench.methods.registry import method_names
from synthetic_results import STUDY, write_study

ALL = """\
  - {method: global_mp, sparsity: 90%, label: Gradual, options: {start: init, schedule: cubic}}
  - {method: random_init, sparsity: [90%, 95%], label: ERK, options: {scope: erk}}
  - {method: shuffled, sparsity: [90%, 95%], options: {of: global_mp, start: trained}}
  - {method: reinit, sparsity: [95%, 90%, 98%]}
  - {method: small_dense, sparsity: [90%, 95%]}
  - method: dense_longer
controls: {of: Global MP, require: [random_erk, shuffled, reinit, small_dense, dense_longer]}
"""


def test_each_control_is_compared_where_both_are_run(tmp_path: Path) -> None:
    """`reinit` borrows from Global MP by its default; the layerwise random row is no control of its budgets."""
    study = write_study(tmp_path, STUDY + ALL)
    assert study.file.controls is not None
    found = control_set(study.file.controls, study.rows)
    assert found is not None
    assert (found.label, found.targets) == ("Global MP", (0.9, 0.95))
    assert found.controls == {
        "ERK": (0.9, 0.95),
        "Shuffled mask (of=global_mp, start=trained)": (0.9, 0.95),
        "Reinitialised": (0.9, 0.95),
        "Small dense": (0.9, 0.95),
        "Dense, longer": (0.9, 0.95),
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "scope: erk",
            "scope: global",
            "control random_erk of 'Global MP' is missing at 90%, 95%; add {method: random_init, "
            "options: {scope: erk}, sparsity: [90%, 95%]}",
        ),
        (
            "{of: global_mp, start: trained}",
            "{of: snip}",
            "control shuffled of 'Global MP' is missing at 90%, 95%; add {method: shuffled, options: {of: global_mp, "
            "start: trained}, sparsity: [90%, 95%]}",
        ),
        ("[95%, 90%, 98%]", "98%", "control reinit of 'Global MP' is missing at 90%, 95%"),
        (
            "small_dense, sparsity: [90%, 95%]}",
            "small_dense, sparsity: 95%}",
            "control small_dense of 'Global MP' is missing at 90%; add {method: small_dense, sparsity: [90%]}",
        ),
        (
            "- method: dense_longer",
            "- {method: dense_longer, not_run: too long}",
            "control dense_longer of 'Global MP' is missing; add {method: dense_longer}",
        ),
        ("reinit, small", "reinit, large", "unknown control 'large_dense'"),
        (
            "of: Global MP,",
            "of: global_mp,",
            "method 'global_mp' has several rows; name one of them: Global MP, Gradual",
        ),
        ("of: Global MP,", "of: Grasp,", "unknown row 'Grasp'"),
        ("of: Global MP,", "of: Dense,", "the rows 'Dense' prune nothing"),
    ],
)
def test_a_missing_one_is_named_in_one_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in ALL
    with pytest.raises(UserError) as refused:
        write_study(tmp_path, STUDY + ALL.replace(old, new))
    assert message in str(refused.value)
    assert "study.yaml:" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_what_a_message_advises_adds_the_control(tmp_path: Path) -> None:
    for name, kind in CONTROLS.items():
        with pytest.raises(UserError) as refused:
            write_study(tmp_path, f"{STUDY}controls: {{of: global_mp, require: {name}}}\n")
        entry = str(refused.value).partition("; add ")[2]
        study = write_study(tmp_path, f"{STUDY}  - {entry}\ncontrols: {{of: global_mp, require: {name}}}\n")
        assert {row.method for row in study.rows} & set(kind.methods)


def test_other_rows_than_those_of_the_study_that_is_extended_have_no_controls(tmp_path: Path) -> None:
    write_study(tmp_path, STUDY + ALL)
    path = tmp_path / "other.yaml"
    path.write_text("extends: study\nname: other\nruns: [{method: snip, sparsity: 90%}]\n", encoding="utf-8")
    assert load_study(str(path)).file.controls is None


def test_a_part_of_the_study_has_the_controls_that_are_in_it(tmp_path: Path) -> None:
    write_study(tmp_path, STUDY + ALL)
    part = load_study(str(tmp_path / "study.yaml"), only=["label=Global MP,ERK", "sparsity=95%"])
    assert part.file.controls is not None
    found = control_set(part.file.controls, part.rows)
    assert found is not None
    assert found.controls == {"ERK": (0.95,)}
    none = load_study(str(tmp_path / "study.yaml"), only=["label=SNIP"])
    assert control_set(part.file.controls, none.rows) is None


def test_the_kinds_are_methods_of_the_suite() -> None:
    assert {method for kind in CONTROLS.values() for method in kind.methods} <= set(method_names())
