"""Which jobs belong to which run, whatever clocks, names and other studies say: on a real controller.

The jobs are to begin in an hour, so that none of them computes anything.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cluster import PLUGIN, STUDY, Place, wait_until
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.runs.store import Store
from prunebench.slurm.collection import find_submitted, read_submissions
from prunebench.slurm.squeue import Queued, ask_queue
from prunebench.slurm.submission import ArrayRecord, find_submissions, read_manifest
from prunebench.slurm.submit import _send
from prunebench.slurm.turn import FOLDER, submitting

pytestmark = pytest.mark.slurm

LATER = {"begin": "now+1hour"}


def jobs_of(place: Place) -> dict[str, Queued]:
    """The queue's jobs of one results folder, by the names in its manifests."""
    names = {array.name for path in find_submissions(place.results) for array in read_manifest(path).arrays}
    return {job: entry for job, entry in ask_queue().items() if entry.name in names}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "here")
    yield made
    made.command("cancel", chooses=False)


def test_a_clock_that_is_set_back_duplicates_no_job(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second submission is the newer one, although its clock says that it was an hour earlier."""
    place.submit(sbatch=LATER)
    place.command("cancel", chooses=False)
    earlier = time.time() - 3600.0
    monkeypatch.setattr("prunebench.slurm.submit.now", lambda: earlier)
    place.submit(sbatch=LATER)
    orders = [read_manifest(path).order for path in find_submissions(place.results)]
    assert orders == [1, 2]
    assert place.counts() == {"queued": 3}
    assert "nothing to submit" in place.submit(sbatch=LATER)
    assert len(jobs_of(place)) == 3


def test_submissions_of_several_studies_are_counted_together(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dense training was cancelled with one study and submitted again with another, by an earlier clock."""
    place.submit(sbatch=LATER)
    place.command("cancel", chooses=False)
    other = another_study(place)
    monkeypatch.setattr("prunebench.slurm.submit.now", lambda: 1e9)
    other.submit(sbatch=LATER)
    try:
        assert "submitted 2 runs as 2 jobs" in place.submit(sbatch=LATER), "the dense training is waited for"
        assert len(jobs_of(place)) == 5
    finally:
        other.command("cancel", chooses=False)


def another_study(place: Place) -> Place:
    """The same runs under another name, in the same results folder."""
    return Place(
        place.folder / "other", study=STUDY.replace("name: fault", "name: other"), results_folder=place.results
    )


def test_two_studies_with_the_same_runs_compute_each_its_own(place: Place) -> None:
    """Only the dense training is shared: a result of one study is not one of the other."""
    place.submit(sbatch=LATER)
    other = another_study(place)
    assert {run.id for run in other.runs} == {run.id for run in place.runs}
    assert "submitted 2 runs as 2 jobs" in other.submit(sbatch=LATER)
    assert other.counts() == place.counts() == {"queued": 3}
    other.command("cancel", chooses=False)
    assert place.counts() == {"queued": 3}
    assert other.counts() == {"missing": 2, "queued": 1}
    submissions = read_submissions(place.results, Store(place.results).note, "other")
    assert {run.id for run in place.runs if run.id in find_submitted(submissions, "")} == {
        run.id for run in place.runs if not run.is_dense
    }


def test_a_run_of_two_studies_is_named_with_its_study(tmp_path: Path) -> None:
    place = Place(tmp_path)
    run = place.runs[0]
    for study in ("fault", "other"):
        folder = Store(place.results).folder(study, run)
        folder.create(run)
        folder.write_attempt(1, {"host": "h", "outcome": "failed", "reason": f"of {study}", "retryable": False})
    with pytest.raises(UserError, match=rf"several match: fault/{run.id}, other/{run.id} in "):
        CliRunner().invoke(app, ["logs", run.id, "--results", str(place.results)], catch_exceptions=False)
    shown = CliRunner().invoke(app, ["logs", f"other/{run.id[:8]}", "--results", str(place.results)])
    assert shown.stdout == "attempt 1 on h: failed of other\n"
    done = CliRunner().invoke(app, ["retry", f"other/{run.id}", "--results", str(place.results)])
    assert done.exit_code == 0
    states = [Store(place.results).folder(study, run).status().state for study in ("fault", "other")]
    assert states == ["failed", "interrupted"]


@pytest.mark.parametrize(
    "name", ["a|b", "two\nlines", "1|N/A|PENDING\n2|0|RUNNING|0|None|x", b"lat\xe9n", "日本", " ", "|", "%j$(x)"]
)
def test_a_job_of_any_name_does_not_stop_the_commands(place: Place, name: str | bytes) -> None:
    before = ask_queue()
    words: list[str | bytes] = ["sbatch", "--parsable", "--hold", "--job-name", name, "--wrap", "true"]
    job = subprocess.run([*words, "--output=/dev/null"], capture_output=True, check=True).stdout.decode().strip()
    try:
        assert ask_queue().keys() - before.keys() == {job}
        assert "submitted 3 runs as 3 jobs" in place.submit(sbatch=LATER)
        assert place.counts() == {"queued": 3}
        assert "cancelled 3 jobs" in place.command("cancel", chooses=False)[2]
        assert job in ask_queue()
    finally:
        subprocess.run(["scancel", job], check=True)
    assert place.counts() == {"missing": 3}


@pytest.fixture
def slow_sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Submissions start `timeout`, which waits here until the returned file is there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    go = tmp_path / "go"
    script = folder / "timeout"
    wait = f'while [ ! -e "{go}" ]; do touch "{folder}/waits"; sleep 0.1; done'
    script.write_text(f'#!/bin/sh\n{wait}\nexec {shutil.which("timeout")} "$@"\n', encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return go


@pytest.mark.timeout(120)
def test_nothing_is_cancelled_or_cleaned_while_a_submission_is_at_work(place: Place, slow_sbatch: Path) -> None:
    words = ["submit", str(place.study_path), "--results", str(place.results), "--plugin", str(PLUGIN)]
    chosen = [item for assignment in place.assignments for item in ("--set", assignment)]
    profile = ["--profile", place.profile(sbatch=LATER), "--no-data-check"]
    submission = subprocess.Popen([sys.executable, "-m", "prunebench.benchmark.cli", *words, *chosen, *profile])
    wait_until((slow_sbatch.parent / "bin" / "waits").exists, 60.0, "the submission to call sbatch")
    refused = rf"another submit, cancel or clean is at work in .* \(process {submission.pid} on .* since .*\); wait"
    with pytest.raises(UserError, match=refused):
        place.command("cancel", chooses=False)
    with pytest.raises(UserError, match=refused):
        place.command("clean", chooses=False)
    slow_sbatch.touch()
    assert submission.wait(60) == 0
    assert "cancelled 3 jobs" in place.command("cancel", chooses=False)[2]
    assert jobs_of(place) == {}
    assert place.counts() == {"missing": 3}


def test_a_submission_that_lost_its_turn_queues_no_more(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hung for so long that it looked dead: after its first array, another command has taken the lock."""
    claim = place.results / FOLDER / "claim.json"

    def send(*arguments: Any) -> ArrayRecord:
        sent = _send(*arguments)
        claim.write_text('{"token": "of another command"}', encoding="utf-8")
        return sent

    monkeypatch.setattr("prunebench.slurm.submit._send", send)
    with pytest.raises(UserError, match=r"another command has taken over the submissions into .*; submit again"):
        place.submit(sbatch=LATER)
    monkeypatch.undo()
    claim.unlink()
    assert len(jobs_of(place)) == 1
    assert "submitted 2 runs as 2 jobs" in place.submit(sbatch=LATER)


def test_a_cancelled_place_that_was_never_submitted_is_not_created(place: Place) -> None:
    assert "no job of this study is in the queue" in place.command("cancel", chooses=False)[2]
    assert not place.results.exists()
    with submitting(place.results), pytest.raises(UserError, match="is at work"):
        place.command("clean", chooses=False)
