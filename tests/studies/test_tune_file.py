"""What is wrong in `tune` of a study file: one line with its place, before anything runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.studies.load import load_study

STUDY = """\
name: tuned
dataset: digits
model: convnet-small
seeds: [0, 1]
train: {epochs: 2}
runs:
  - method: dense
  - {method: [snip, random], sparsity: 90%}
"""


def load(folder: Path, tune: str, text: str = STUDY) -> None:
    (folder / "study.yaml").write_text(f"{text}tune:\n{tune}", encoding="utf-8")
    load_study(str(folder / "study.yaml"))


@pytest.mark.parametrize(
    ("tune", "line", "message"),
    [
        ("  seeds: [1, 7]", 10, "tune.seeds has 1, which evaluation uses; choose others"),
        ("  seeds: [7, 7]", 9, "tune: seeds is [7, 7]; each may stand there once"),
        ("  trials: 0", 10, "'tune.trials.0' is 0: input should be greater than or equal to 1"),
        ("  trails: 4", 10, "unknown key 'trails'; did you mean 'trials'? known: "),
        ("  tracks: [A, B]", 9, "tune: track B needs `on`: the data and the network to tune on"),
        ("  tracks: [C]", 10, "'tune.tracks.0' is 'C': input should be 'A' or 'B'"),
        ("  tracks: A\n  on: {dataset: mnist}", 9, "tune: `on` has no effect on track A"),
        ("  on: {model: convnet-small}", 10, "tune.on has the study's own data and network; name others"),
        ("  on: {dataset: mnits}", 10, "unknown data set 'mnits'; did you mean 'mnist'? known: "),
        ("  on: {model: {name: lenet-300-100, options: {widht: 2}}}", 10, "unknown option of model 'lenet-300-100'"),
        ("  spaces:\n    snip:\n      score_sample: [1, 2]", 12,
         "spaces.snip.score_sample: unknown option of method 'snip' 'score_sample'; did you mean 'score_samples'?"),
        ("  spaces: {snip: {score_samples: [1, 0]}}", 10,
         "tune.spaces.snip.score_samples: method 'snip': score_samples is 0; it must be an integer >= 1"),
        ("  spaces: {snip: {score_samples: {low: 0, high: 5}}}", 10, "score_samples is 0; it must be an integer >= 1"),
        ("  spaces: {snip: {score_samples: {low: 1.5, high: 5}}}", 10, "score_samples is 1.5; it must be an integer"),
        ("  spaces: {snip: {score_samples: {low: 5, high: 5}}}", 10, "low is 5 and high is 5; low must be less"),
        ("  spaces: {snip: {score_samples: {low: 1, hihg: 5}}}", 10, "values are {'low': 1, 'hihg': 5}; give {low: "),
        ("  spaces: {snip: {score_samples: 3}}", 10, "snip.score_samples: values are 3; give {low: ..., high: "),
        ("  spaces: {snip: {mode: [train, train]}}", 10, "hold one value twice"),
        ("  spaces: {snip: {start: [init, trained]}}", 10, "it says what the method is, which no search changes"),
        ("  spaces: {snpi: {mode: [train]}}", 10, "unknown method or row 'snpi'; did you mean 'snip'? known: "),
        ("  spaces: {grasp: {temperature: [1.0]}}", 10, "spaces of 'grasp' have no effect: no row of the study"),
        ("  spaces: {random: {scope: {low: 0, high: 1}}}", 10, "scope is 0; it must be one of global, layerwise, erk"),
        ("  spaces: [snip]", 10, "it must map methods to options, and each option to its values"),
        ("  train: {lr: {low: 0, high: 1, log: true}}", 10, "low is 0; with log it must be above 0"),
        ("  train: {lr: [0.0, 0.1]}", 10, "tune.train.lr: 0.0 is no number > 0"),
        ("  train: {weight_decay: [-1]}", 10, "tune.train.weight_decay: -1 is no number >= 0"),
        ("  train: {momentum: [0.9]}", 10, "unknown key 'momentum'; known: lr, weight_decay in tune.train"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, tune: str, line: int, message: str) -> None:
    with pytest.raises(UserError) as raised:
        load(tmp_path, f"{tune}\n")
    assert message in str(raised.value)
    found = re.search(r"study\.yaml:(\d+): ", str(raised.value))
    assert found is not None, raised.value
    assert int(found[1]) == line
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STUDY.replace("seeds: [0, 1]", "seeds: [0]\nvalidation: 0"), "tune chooses by the validation split, and"),
        (STUDY.replace("  - {method: [snip, random], sparsity: 90%}\n", ""), "tune needs pruned rows"),
        (STUDY.replace("sparsity: 90%}", "sparsity: 90%}\n  - {method: random, sparsity: 90%, label: SNIP (tuned)}"),
         "label 'SNIP (tuned)' is that of a tuned row; choose another"),
    ],
)  # fmt: skip
def test_a_study_that_cannot_be_tuned_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        load(tmp_path, "  trials: 2\n", text)


def test_entries_with_seeds_of_their_own_count_as_seeds_of_the_evaluation(tmp_path: Path) -> None:
    text = STUDY.replace("sparsity: 90%}", "sparsity: 90%, seeds: [101]}")
    with pytest.raises(UserError, match=r"tune\.seeds has 101, which evaluation uses"):
        load(tmp_path, "  trials: 2\n", text)


def test_claims_may_name_tuned_rows_before_anything_is_chosen(tmp_path: Path) -> None:
    load(tmp_path, "  trials: 2\nclaims: ['SNIP (tuned) >= SNIP at 90%']\n")
    with pytest.raises(UserError, match=r"unknown row 'SNIP \(tunde\)'"):
        load(tmp_path, "  trials: 2\nclaims: ['SNIP (tunde) >= SNIP at 90%']\n")


def test_the_command_line_ends_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(f"{STUDY}tune: {{seeds: [0]}}\n", encoding="utf-8")
    for command in (["plan"], ["run"], ["status"], ["table"]):
        with pytest.raises(UserError, match="which evaluation uses") as raised:
            CliRunner().invoke(app, [*command, "study.yaml"], catch_exceptions=False)
        assert raised.value.exit_code == 2
    assert not Path("results").exists()


FIXED = """\
name: tuned
dataset: digits
model: convnet-small
seeds: [0, 1]
train: {epochs: 2}
runs:
  - {method: random_init, sparsity: 90%, options: {scope: erk}, label: ERK}
"""


def test_a_space_of_an_option_that_the_entry_gives_is_refused(tmp_path: Path) -> None:
    message = "study.yaml:10: tune.spaces.ERK.scope has no effect: the entry of the row gives this option"
    with pytest.raises(UserError, match=re.escape(message)):
        load(tmp_path, "  spaces:\n    ERK: {scope: [global, erk]}", FIXED)


BUDGET = """\
name: tuned
dataset: digits
model: convnet-small
seeds: [0, 1]
budget: {unit: UNIT, total: 6}
train: {epochs: 2}
runs:
  - {method: METHOD, sparsity: 90%}
"""


@pytest.mark.parametrize(
    ("unit", "method", "space", "message"),
    [
        # the row has two trainings of three epochs, trial 1 four of them
        (
            "epochs",
            "imp, options: {prune_fraction: 0}",
            "imp: {prune_rounds: [2, 3]}",
            "trial 1 at 90% with {'prune_rounds': 3} takes 12 epochs: 12, and the budget is 6",
        ),
        # the ramp ends later, so the mean density rises from 0.269 to 0.302: 22 epochs cost 6.655
        ("macs", "gmp", "gmp: {end: [0.3, 0.9]}", "takes 22 epochs, its own counted as 0.302 each: 6.655, and the"),
    ],
)
def test_no_trial_costs_more_than_the_budget(tmp_path: Path, unit: str, method: str, space: str, message: str) -> None:
    text = BUDGET.replace("UNIT", unit).replace("METHOD", method)
    with pytest.raises(UserError, match=re.escape(message)):
        load(tmp_path, f"  trials: 4\n  spaces: {{{space}}}", text)
