"""The outcome of jobs other than one run each."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from cluster import wait_until
from jobs import Jobs
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.runs.store import Store
from prunebench.slurm.submission import find_submissions, read_manifest

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def jobs(started_jobs: Jobs) -> Jobs:
    for place in vars(started_jobs).values():
        wait_until(place.is_idle, 200.0, f"{place.name} to come to rest")
    return started_jobs


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


def test_code_that_changes_before_the_start_is_marked(jobs: Jobs) -> None:
    """Also if both revisions are the same text, because the changes are not committed."""
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
    with pytest.raises(UserError, match="run '' is not a run id"):
        CliRunner().invoke(app, ["logs", "", "--results", str(jobs.packed.results)], catch_exceptions=False)
    assert str(state.log) in place.command("status")[1]
