"""What a user looks at: doctor, logs, status --watch."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster import PLUGIN, Place
from prunebench.benchmark.cli import app
from scenarios import Scenario
from typer.testing import CliRunner

pytestmark = pytest.mark.slurm


def doctor(place: Place, *arguments: str, **changes: object) -> tuple[int, str]:
    words = ["doctor", "--profile", place.profile(**changes), "--results", str(place.results), *arguments]
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.stdout


@pytest.mark.timeout(200)
def test_doctor_asks_a_node(tmp_path: Path) -> None:
    place = Place(tmp_path)
    code, shown = doctor(place)
    assert code == 0, shown
    assert "ok      compute node: node" in shown
    assert f"ok      results folder: {place.results} is shared" in shown
    assert "ok      code: the same on the node" in shown
    assert list(place.results.iterdir()) == [], "the probe leaves nothing behind"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"partition": "gpu"}, "FAILED  partition gpu: does not exist; there are: debug, preempt, short"),
        ({"partition": "short", "time": "10m"}, "FAILED  time limit: 10 minutes of at most 5:00"),
        ({"memory": "900G"}, "FAILED  batch script: sbatch: "),
        ({"sbatch": {"nodelist": "node7"}}, "FAILED  batch script: sbatch: "),
        ({"max_submit": 1, "sbatch": {"comment": "x"}}, "ok      limits: 1001 jobs an array, "),
    ],
)
def test_doctor_finds_what_the_cluster_refuses(tmp_path: Path, changes: dict[str, object], complaint: str) -> None:
    code, shown = doctor(Place(tmp_path), "--no-probe", **changes)
    assert complaint in shown
    assert code == (4 if complaint.startswith("FAILED") else 0)


@pytest.mark.timeout(900)
def test_logs_show_attempts_and_what_the_job_printed(played: dict[str, Scenario]) -> None:
    scenario = played["killed"]
    words = ["logs", scenario.first.id[:10], "--results", str(scenario.place.results)]
    shown = CliRunner().invoke(app, words).stdout
    assert "attempt 2 on node" in shown
    assert f"prunebench: {scenario.first.id} epoch 1 of 30: loss" in shown
    assert f"prunebench: {scenario.first.id} slow_mp 0.5 seed 0: done" in shown


@pytest.mark.timeout(120)
def test_watching_ends_when_nothing_is_left_to_wait_for(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.submit(sbatch={"begin": "now+1hour"})
    words = ["status", str(place.study_path), "--watch", "--results", str(place.results), "--plugin", str(PLUGIN)]
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *words, "--set", "seeds=[0]"]
    watching = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    time.sleep(4.0)
    assert watching.poll() is None
    place.command("cancel", chooses=False)
    shown, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert shown.splitlines()[0] == "fault: 3 runs: 3 queued"
    assert shown.splitlines()[-1] == "fault: 3 runs: 3 missing"
