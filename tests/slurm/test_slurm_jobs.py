"""Jobs of other shapes than one run each, on a real cluster, side by side: packed, cancelled, changed, badly set up."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import Place, wait_until
from prunebench.benchmark.cli import app
from prunebench.benchmark.store import Store
from prunebench.slurm.states import RunState
from prunebench.slurm.submission import find_submissions, read_manifest
from typer.testing import CliRunner

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

PATIENCE = 200.0
FROM_INIT = """\
name: NAME
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [0]
train: {epochs: EPOCHS, batch_size: 50, lr: 0.05}
runs:
  - method: slow_mp
    sparsity: [50%]
    options: {start: init}
"""
DEADLY = """\
  - method: deadly_mp
    sparsity: [50%]
    options: {start: init}
"""


def place_of(folder: Path, name: str, epochs: int, sparsities: str = "[50%]", more: str = "") -> Place:
    text = FROM_INIT.replace("NAME", name).replace("EPOCHS", str(epochs)) + more
    return Place(folder / name, sparsities=sparsities, study=text)


@dataclass
class Jobs:
    """The places, and what was seen on the way."""

    packed: Place
    cancelled: Place
    changed: Place
    unprepared: Place
    said_of_cancelling: str
    after_cancelling: RunState


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    """All are submitted before the first one is waited for: loading torch takes most of the time."""
    folder = tmp_path_factory.mktemp("jobs")
    packed = place_of(folder, "packed", 8, "[50%, 70%]", DEADLY)
    packed.submit(runs_per_job=3, gpus_per_run=1, environment={"SLOW_SECONDS": "1"})
    cancelled = place_of(folder, "cancelled", 30)
    cancelled.submit(environment={"SLOW_SECONDS": "1"})
    changed = submit_and_change(folder)
    unprepared = place_of(folder, "unprepared", 2)
    unprepared.submit(modules=["no/such/module"])
    (run,) = cancelled.runs
    wait_until(lambda: cancelled.num_epochs(run) >= 2, PATIENCE, "two epochs")
    said = cancelled.command("cancel", chooses=False)[2]
    for place in (cancelled, packed, changed, unprepared):
        wait_until(place.is_idle, PATIENCE, f"{place.name} to come to rest")
    after = cancelled.state(run)
    return Jobs(packed, cancelled, changed, unprepared, said, after)


def submit_and_change(folder: Path) -> Place:
    plugin = folder / "edited.py"
    shutil.copy(Path(__file__).with_name("edited.py"), plugin)
    study = FROM_INIT.replace("NAME", "changed").replace("EPOCHS", "1").replace("slow_mp", "edited_mp")
    place = Place(folder / "changed", sparsities="[50%]", study=study, plugin=plugin)
    place.submit(sbatch={"hold": True})
    with plugin.open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    subprocess.run(["scontrol", "release", place.state(place.runs[0]).job], check=True)
    return place


def test_packed_runs_share_a_job_at_once_and_fail_alone(jobs: Jobs) -> None:
    place = jobs.packed
    (array,) = read_manifest(find_submissions(place.results)[0]).arrays
    assert [len(element) for element in array.elements] == [3]
    deadly, *sound = sorted(place.runs, key=lambda run: run.method)
    assert place.counts() == {"done": 2, "failed": 1}
    assert place.state(deadly).reason == "worker killed by SIGKILL"
    attempts = [Store(place.results).folder(place.name, run).attempts() for run in sound]
    assert [len(made) for made in attempts] == [1, 1]
    first, second = (made[0] for made in attempts)
    assert max(first["begin"], second["begin"]) < min(first["end"], second["end"]), "at the same time"
    assert first["pid"] != second["pid"]
    outcomes = {run_id: outcome["outcome"] for run_id, outcome in place.record(deadly).outcomes.items()}
    assert outcomes == {deadly.id: "failed", **{run.id: "done" for run in sound}}
    assert not place.record(deadly).code_changed


def test_a_run_that_is_cancelled_stops_in_order_and_goes_on_later(jobs: Jobs) -> None:
    """The jobs of other studies were not touched: they are done."""
    place = jobs.cancelled
    (run,) = place.runs
    assert "cancelled 1 jobs" in jobs.said_of_cancelling
    assert jobs.after_cancelling.state == "interrupted"
    assert re.fullmatch(r"cancelled, stopped after epoch \d+ of 30", jobs.after_cancelling.reason)
    folder = Store(place.results).folder(place.name, run)
    assert [attempt["outcome"] for attempt in folder.attempts()] == ["interrupted"]
    assert 2 <= len(folder.history()) < 30
    place.submit()
    wait_until(place.is_idle, PATIENCE, "the second submission")
    result = folder.read_result()
    assert result is not None
    assert result["cost"]["resumed"] == 1
    assert [record["epoch"] for record in folder.history()] == list(range(30))


def test_code_that_changes_before_the_start_is_marked(jobs: Jobs) -> None:
    """Also where both revisions are the same text, because the changes are not committed."""
    place = jobs.changed
    (run,) = place.runs
    assert place.state(run).state == "done"
    assert place.record(run).code_changed
    shown = place.command("status")[1]
    assert f"started with other code than submitted with: {run.id}" in shown
    logged = CliRunner().invoke(app, ["logs", run.id, "--results", str(place.results)]).stdout
    assert "prunebench: the code has changed since the submission" in logged


def test_a_module_that_does_not_load_ends_the_job_with_a_log(jobs: Jobs) -> None:
    place = jobs.unprepared
    (run,) = place.runs
    state = place.state(run)
    assert state.state == "lost"
    assert "its job ended as FAILED" in state.reason
    assert "exit code 1:0" in state.reason
    logged = CliRunner().invoke(app, ["logs", run.id, "--results", str(place.results)])
    assert logged.exit_code == 0
    assert "module" in logged.stdout
    assert str(state.log) in place.command("status")[1]
