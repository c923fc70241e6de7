"""A study with `tune` through the command line: trials, the frozen choice, the evaluation, and what reading shows."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from prunebench.benchmark.cli import app, progress
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.launch.time_limit import TimeLimit
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.studies.plan import Plan
from prunebench.benchmark.studies.trials import runs_of, searches
from prunebench.benchmark.training.watch import Watch

STUDY = """\
name: tiny-tune
dataset: {name: digits, options: {limit: 300}}
model: convnet-small
seeds: [0, 1]
train: {epochs: 1, batch_size: 50, lr: 0.1}
scratch: {epochs: 1}
runs:
  - {method: [snip, random_init], sparsity: 50%}
tune:
  trials: 2
  seeds: [7]
  train: {lr: {low: 0.05, high: 0.2}, weight_decay: [0.0]}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the study; runs are computed in this process, which has loaded torch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRUNEBENCH_RESULTS", raising=False)
    monkeypatch.setattr(progress, "compute", compute_here)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def compute_here(
    made: Plan, settings: Settings, _workers: int, _limit: TimeLimit | None, unchecked: Collection[str], *_shown: Any
) -> list[Any]:
    open_runs = [job.run for job in made.to_do]
    assert not {run.id for run in open_runs if run.seed in (0, 1)} & set(unchecked)
    return [attempt(run, made.study, settings, Watch()) for run in open_runs]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_from_trials_to_tables(place: Path) -> None:
    planned = run("plan", "study.yaml")
    assert "2 trials of each row, sparsity and track on 1 seed: 4 runs" in planned.stdout
    assert "SNIP                   2 runs       2 epochs       2 trials in 1 search" in planned.stdout
    done = run("run", "study.yaml")
    assert done.exit_code == 0, done.output
    selection = json.loads((place / "results/tiny-tune/selection.json").read_text(encoding="utf-8"))
    assert f"selection {selection['hash']} of 2 searches is frozen" in done.stderr
    assert {len(each["trials"]) for each in selection["searches"]} == {2}
    state = run("status", "study.yaml")
    assert "trials: 4 of 4 runs are stored" in state.stdout
    assert f"selection: {selection['hash']}, 2 of 2 searches are chosen from" in state.stdout
    told = json.loads(run("status", "study.yaml", "--json").stdout)["tuning"]
    assert [(each["trials"], each["epochs"]) for each in told["budgets"]] == [(2, 2), (2, 2)]
    again = run("run", "study.yaml")
    assert again.exit_code == 0
    assert again.stderr.count("nothing to compute") == 2
    shown = run("table", "study.yaml")
    assert [kind in shown.stdout for kind in ("default and tuned", "Trials of", "SNIP (tuned)")] == [True] * 3
    page = run("report", "study.yaml", "-o", "-").stdout
    assert selection["hash"] in page
    assert "Default and tuned" in page
    assert '<img class="figure" alt="Validation accuracy of all trials' in page
    accuracy = next(each for each in json.loads(run("table", "study.yaml", "--json").stdout)["tables"])
    assert any("chosen on validation accuracy" in sentence for sentence in accuracy["caption"])


def test_nothing_is_evaluated_while_a_trial_is_left(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study("study.yaml")
    left = runs_of(searches(study.file, study.rows))[-1]

    def all_but_one(made: Plan, *rest: Any) -> list[Any]:
        kept = Plan(made.study, tuple(job for job in made.jobs if job.run.id != left.id))
        return compute_here(kept, *rest)

    monkeypatch.setattr(progress, "compute", all_but_one)
    done = run("run", "study.yaml")
    assert done.exit_code == 3
    assert "nothing is evaluated before all trials have ended; not stored: 1 run\n" in done.stderr
    stored = {path.name for path in (place / "results/tiny-tune/runs").iterdir()}
    assert stored == {trial.id for trial in runs_of(searches(study.file, study.rows))} - {left.id}


def test_a_refused_combination_fails_its_trial_and_nothing_else(place: Path) -> None:
    text = STUDY.replace("[snip, random_init]", "gmp").replace(
        "  trials: 2", "  trials: 3\n  spaces: {gmp: {begin: [0.9], end: [0.2]}}"
    )
    Path("study.yaml").write_text(text, encoding="utf-8")
    done = run("run", "study.yaml")
    assert done.exit_code == 0, done.output
    selection = json.loads((place / "results/tiny-tune/selection.json").read_text(encoding="utf-8"))
    assert [each["state"] for each in selection["searches"][0]["trials"]] == ["usable", "failed", "failed"]
    assert [each["trial"] for each in selection["choices"]] == [0]


def test_shuffled_test_labels_leave_the_selection_byte_identical(place: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    inputs = (digits.images[:, :, :, None] * 15).astype(np.uint8)
    order = np.random.default_rng(0).permutation(297)
    text = STUDY.replace("{name: digits, options: {limit: 300}}", "{name: arrays, options: {path: digits.npz}}")
    Path("study.yaml").write_text(text.replace("[snip, random_init]", "snip"), encoding="utf-8")
    selections, tests = [], []
    for name, targets in (("one", digits.target[1500:]), ("other", digits.target[1500:][order])):
        (place / name).mkdir()
        np.savez(
            place / name / "digits.npz", train_inputs=inputs[:300], train_targets=digits.target[:300],
            test_inputs=inputs[1500:], test_targets=targets,
        )  # fmt: skip
        done = run("run", "study.yaml", "--data-root", name, "--results", f"results-{name}")
        assert done.exit_code == 0, done.output
        selections.append((place / f"results-{name}/tiny-tune/selection.json").read_bytes())
        results = sorted((place / f"results-{name}").glob("tiny-tune/runs/*/result.json"))
        tests.append([json.loads(path.read_text(encoding="utf-8"))["accuracy"]["last"] for path in results])
    assert tests[0] != tests[1], "the labels were shuffled"
    assert selections[0] == selections[1]
