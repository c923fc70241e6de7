"""`submit` of a study with `tune`: the trials first, and with the same command the evaluation of what was chosen."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prunebench.benchmark.cli import app
from prunebench.benchmark.studies.trials import runs_of, searches
from prunebench.benchmark.tuning.selection import selection_path
from prunebench.slurm import sbatch
from simulated import simulate
from tuned_study import made, store_all


def test_submit_queues_the_trials_and_then_the_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = simulate(monkeypatch)
    orders: list[dict[str, Any]] = []

    def send(folder: Path, jobs: Sequence[Any], *rest: Any) -> str:
        orders.extend(json.loads(job.order) for job in jobs)
        return queue.send(folder, jobs, *rest)

    monkeypatch.setattr(sbatch, "send", send)
    monkeypatch.setattr(sys, "argv", ["prunebench", "submit"])
    study, store = made(tmp_path)
    (tmp_path / "profile.yaml").write_text("time: 1h\ngpus_per_run: 0\n", encoding="utf-8")
    command = ["submit", str(tmp_path / "study.yaml"), "--profile", str(tmp_path / "profile.yaml")]
    command += ["--results", str(tmp_path / "results")]

    dry = CliRunner().invoke(app, [*command, "--dry-run"], catch_exceptions=False)
    assert "tuned: 14 runs" in dry.stderr
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "tuned: these are trials; when they have ended, the same command queues the evaluation" in done.stderr
    trials = runs_of(searches(study.file, study.rows))
    dense = {run.parent.id for run in trials if run.parent is not None}
    assert ids(orders) == {run.id for run in trials} | dense
    assert not selection_path(study.name, store).exists()

    queue.jobs.clear()
    orders.clear()
    store_all(store, study)
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert selection_path(study.name, store).exists()
    assert "these are trials" not in done.stderr
    seeds = {run["seed"] for order in orders for run in order["runs"]}
    assert seeds == {0, 1, 2}
    rates = {run["recipe"].get("lr") for order in orders for run in order["runs"] if run["method"] == "snip"}
    assert len(rates) == 2, "the study's own values and the chosen ones"


def ids(orders: list[dict[str, Any]]) -> set[str]:
    from prunebench.benchmark.runs.run import from_dict

    return {from_dict(run).id for order in orders for run in order["runs"]}
