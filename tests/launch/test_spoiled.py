"""`run` with methods that meet CUDA errors: the process of a sticky one ends, and its run is tried in a new one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.methods import registry

PLUGIN = Path(__file__).parents[1] / "slurm" / "faulty.py"
STUDY = """\
name: small
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [0, 1]
train: {epochs: 2, batch_size: 50, lr: 0.1}
runs:
  - method: spoiled_mp
    sparsity: [90%]
    options: {start: init}
"""
ILLEGAL = "CUDA error: an illegal memory access was encountered"
ASSERTED = "CUDA error: device-side assert triggered"


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("errors", "jobs", "outcomes"),
    [
        ([ILLEGAL], 1, ["done", "done", "failed"]),
        ([ILLEGAL, ILLEGAL], 1, ["done", "failed", "failed"]),
        ([ASSERTED], 2, ["done", "done", "failed"]),
        (["CUDA error: invalid argument"], 1, ["done", "failed"]),
    ],
)
def test_a_sticky_error_ends_the_process(
    errors: list[str], jobs: int, outcomes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "errors").write_text("\n".join(errors), encoding="utf-8")
    results = tmp_path / "results"
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", "study.yaml", "--results", str(results)]
    done = subprocess.run(
        [*command, "--plugin", str(PLUGIN), "--jobs", str(jobs), "--device", "cpu"],
        cwd=tmp_path, env={**os.environ, "SPOILED_FILE": str(tmp_path / "errors")}, capture_output=True, text=True,
        timeout=150, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    monkeypatch.setattr(registry.OFFERS, "plugins", {})
    registry.add_plugin(PLUGIN)
    folders = [Store(results).folder("small", run) for run in load_study(str(tmp_path / "study.yaml")).runs]
    attempts = [attempt for folder in folders for attempt in folder.attempts()]
    assert sorted(attempt["outcome"] for attempt in attempts) == outcomes, done.stderr
    assert done.returncode == (outcomes.count("done") < 2)
    failed = [attempt["pid"] for attempt in attempts if attempt["outcome"] == "failed"]
    pids = [attempt["pid"] for attempt in attempts]
    is_sticky = "invalid argument" not in errors[0]
    assert all(pids.count(pid) == 1 for pid in failed) == is_sticky, "a worker goes on unless its context is dead"
    assert ("tried again in a new process" in done.stderr) == is_sticky
