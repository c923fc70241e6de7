"""Studies that measure between their runs: jobs keep the weights, and `submit` says how to measure afterwards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prunebench.benchmark.cli import app
from prunebench.slurm import sbatch
from simulated import simulate

STUDY = """\
name: pairs
dataset: digits
model: convnet-small
seeds: [0]
retrain_seeds: [0, 1]
measure: [lmc]
train: {epochs: 1}
runs: [{method: global_mp, sparsity: 90%}]
"""


def test_submit_keeps_weights_and_names_the_command_that_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = simulate(monkeypatch)
    orders: list[dict[str, Any]] = []

    def send(folder: Path, jobs: Sequence[Any], *rest: Any) -> str:
        orders.extend(json.loads(job.order) for job in jobs)
        return queue.send(folder, jobs, *rest)

    monkeypatch.setattr(sbatch, "send", send)
    (tmp_path / "pairs.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "profile.yaml").write_text("time: 1h\ngpus_per_run: 0\n", encoding="utf-8")
    study, results = str(tmp_path / "pairs.yaml"), tmp_path / "results"
    command = ["submit", study, "--profile", str(tmp_path / "profile.yaml"), "--results", str(results)]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert f"measure afterwards with: prunebench measure {study} --results {results}" in done.stderr
    assert len(orders) == 3
    assert all(order["settings"]["keep_weights"] for order in orders)
