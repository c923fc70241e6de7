"""Submitting to a real controller. The jobs are to begin in an hour, so that none of them computes anything."""

from __future__ import annotations

import json
import pickle
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster import STUDY, Place, wait_until
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.benchmark.runs.store import Store
from prunebench.slurm.squeue import Queued, ask_queue, forget
from prunebench.slurm.submission import find_submissions, read_manifest, write_manifest
from rights import may_close
from synthetic_results import store_result

pytestmark = pytest.mark.slurm

LATER = {"begin": "now+1hour"}


def jobs_of(place: Place) -> dict[str, Queued]:
    """The queue's jobs of one place, by the names in its manifests."""
    names = {array.name for path in find_submissions(place.results) for array in read_manifest(path).arrays}
    return {job: entry for job, entry in ask_queue().items() if entry.name in names}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "here", seeds="[0, 1]")
    yield made
    made.command("cancel", chooses=False)


def test_each_run_waits_for_its_own_dense_training(place: Place) -> None:
    said = place.submit(sbatch=LATER)
    assert "submitted 6 runs as 6 jobs" in said
    manifest = read_manifest(find_submissions(place.results)[0])
    dense, *dependants = manifest.arrays
    shown = subprocess.run(
        ["squeue", "--noheader", "--array", "--format=%F %E"], capture_output=True, text=True, check=True
    ).stdout
    waits_for = dict(line.split() for line in set(shown.splitlines()))
    for array in dependants:
        parents = {run.parent.id for run in place.runs if run.parent and (run.id,) in array.elements}
        index = dense.elements.index(tuple(parents))
        assert waits_for[str(array.job)].startswith(f"afterany:{dense.job}_{index}"), waits_for
    assert place.counts() == {"queued": 6}


@pytest.mark.timeout(200)
def test_jobs_run_with_the_python_of_the_profile(tmp_path: Path) -> None:
    used, python = tmp_path / "used", tmp_path / "another python"
    python.write_text(f'#!/bin/sh\ntouch {used}\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    study = STUDY.replace("slow_mp", "global_mp").replace("epochs: 30", "epochs: 1")
    place = Place(tmp_path / "here", sparsities="[50%]", study=study)
    place.submit(python=str(python))
    wait_until(place.is_idle, 150.0, "the jobs to end")
    assert place.counts() == {"done": 2}
    assert used.exists()


def test_what_is_queued_is_not_submitted_again(place: Place) -> None:
    place.submit(sbatch=LATER)
    before = ask_queue()
    said = place.submit(sbatch=LATER)
    assert "6 runs are queued or running" in said
    assert "nothing to submit" in said
    assert ask_queue().keys() == before.keys()
    assert len(find_submissions(place.results)) == 1


def test_a_submission_that_was_killed_before_it_noted_its_jobs_is_still_known(place: Place) -> None:
    place.submit(sbatch=LATER)
    path = find_submissions(place.results)[0]
    manifest = read_manifest(path)
    forgetful = replace(manifest, arrays=tuple(replace(array, job=None) for array in manifest.arrays))
    write_manifest(path, forgetful)
    assert place.counts() == {"queued": 6}
    assert "nothing to submit" in place.submit(sbatch=LATER)


def test_another_study_waits_for_a_dense_training_that_is_queued_already(place: Place) -> None:
    place.submit(sbatch=LATER)
    other = Place(
        place.folder / "other", seeds="[0]", sparsities="[80%]", study=STUDY.replace("name: fault", "name: other")
    )
    other.results = place.results
    assert "submitted 1 runs as 1 jobs" in other.submit(sbatch=LATER)
    manifest = read_manifest(find_submissions(place.results, "other")[0])
    dense = read_manifest(find_submissions(place.results, "fault")[0]).arrays[0]
    parent = other.runs[0].parent
    assert parent is not None
    assert manifest.arrays[0].after == f"{dense.job}_{dense.elements.index((parent.id,))}"
    assert other.command("cancel", chooses=False)[2].startswith("cancelled 1 jobs")
    assert place.counts() == {"queued": 6}, "the other study's jobs are not touched"


def test_a_run_whose_dense_training_was_cancelled_with_another_study_is_blocked(place: Place) -> None:
    place.submit(sbatch=LATER)
    other = Place(
        place.folder / "other", seeds="[0]", sparsities="[80%]", study=STUDY.replace("name: fault", "name: other")
    )
    other.results = place.results
    other.submit(sbatch=LATER)
    place.command("cancel", chooses=False)
    (run,) = (run for run in other.runs if not run.is_dense)
    assert run.parent is not None
    state = other.state(run)
    assert (state.state, state.reason) == ("blocked", f"its dense training {run.parent.id} is missing: cancelled")
    assert "submitted 2 runs as 2 jobs" in other.submit(sbatch=LATER)
    assert other.counts() == {"queued": 2}
    assert len(jobs_of(other)) == 2
    other.command("cancel", chooses=False)


def test_a_waiting_job_that_is_cancelled_alone_is_found(place: Place) -> None:
    """It leaves no trace in the accounting. Its dense training makes two more runs wait for nothing: blocked."""
    place.submit(sbatch=LATER)
    dense = next(run.parent for run in place.runs if run.seed == 0)
    assert dense is not None
    subprocess.run(["scancel", place.state(dense).job], check=True)
    assert place.state(dense).state == "lost"
    assert place.counts() == {"blocked": 2, "lost": 1, "queued": 3}
    # the dependants that still wait for the dead job make room for those that wait for the new one
    assert "submitted 3 runs as 3 jobs" in place.submit(sbatch=LATER)
    assert place.counts() == {"queued": 6}
    assert len(jobs_of(place)) == 6


def test_what_is_stored_is_not_submitted_and_not_waited_for(place: Place) -> None:
    """One dense training and one run are stored."""
    dense = next(run.parent for run in place.runs if run.seed == 0)
    stored = next(run for run in place.runs if run.seed == 1 and not run.is_dense)
    assert dense is not None
    for run in (dense, stored):
        store_result(Store(place.results), place.name, run, 0.5).model_path.touch()
    assert "submitted 4 runs as 4 jobs" in place.submit(sbatch=LATER)
    manifest = read_manifest(find_submissions(place.results)[0])
    arrays = {array.name.rpartition(".")[2]: array for array in manifest.arrays}
    at_once = {run.id for run in place.runs if run.parent == dense}
    assert {run_id for element in arrays["direct"].elements for run_id in element} == at_once
    assert arrays["direct"].after is None
    assert place.counts() == {"done": 2, "queued": 4}


def test_arrays_respect_what_the_controller_accepts(place: Place) -> None:
    place.submit(sbatch=LATER, max_array_size=1)
    assert sorted(job.rpartition("_")[2] for job in jobs_of(place)) == ["0"] * 6
    place.command("cancel", chooses=False)
    place.submit(sbatch=LATER, max_submit=len(ask_queue()) + 3)
    assert len(jobs_of(place)) == 3
    assert place.counts() == {"queued": 6}
    place.command("cancel", chooses=False)
    with pytest.raises(UserError, match=r"at least 2 jobs are needed, the cluster takes 1 more"):
        place.submit(sbatch=LATER, max_submit=len(ask_queue()) + 1)


def test_a_job_that_can_never_start_shows_why(place: Place) -> None:
    place.submit(partition="short", time="10m")
    code, shown, _ = place.command("status")
    assert code == 0
    # which of the two the scheduler reports depends on how far it is
    assert re.search("PartitionConfig|PartitionTimeLimit", shown), shown


def test_a_refusal_is_one_line_and_leaves_nothing_queued(place: Place) -> None:
    with pytest.raises(UserError, match=r"sbatch refused the array .*: .*invalid partition specified: nowhere"):
        place.submit(partition="nowhere")
    assert jobs_of(place) == {}
    assert place.counts() == {"missing": 6}


def test_cancelled_runs_are_missing_and_clean_takes_the_folder_away(place: Place) -> None:
    place.submit(sbatch=LATER)
    assert "nothing to remove" in place.command("clean", chooses=False)[2]
    assert "cancelled 6 jobs" in place.command("cancel", chooses=False)[2]
    assert jobs_of(place) == {}
    states = place.look().states.values()
    assert {(state.state, state.reason) for state in states} == {("missing", "cancelled")}
    assert "no job of this study is in the queue" in place.command("cancel", chooses=False)[2]
    assert "removed" in place.command("clean", chooses=False)[2]
    assert find_submissions(place.results) == []
    assert place.counts() == {"missing": 6}


def test_where_nothing_can_be_written_one_can_cancel_and_not_submit(place: Place) -> None:
    place.submit(sbatch=LATER)
    closed = [str(path) for path in place.results.rglob("*") if path.is_dir()]
    if not may_close(place.results):
        pytest.skip("to close a folder takes root")
    subprocess.run(["chattr", "+i", *closed], check=True)
    try:
        assert "cancelled 6 jobs" in place.command("cancel", chooses=False)[2]
        assert jobs_of(place) == {}
        with pytest.raises(UserError, match=r"/results/\.submitting.*: Operation not permitted"):
            place.submit(sbatch=LATER)
    finally:
        subprocess.run(["chattr", "-i", *closed], check=True)
    assert place.counts() == {"lost": 2, "blocked": 4}


def test_folders_with_pickles_are_private(place: Place) -> None:
    place.submit(sbatch=LATER)
    path = find_submissions(place.results)[0]
    found = list(path.glob("*/*.pkl"))
    assert len(found) == 6
    for folder in {path.parent, path, *(file.parent for file in found)}:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


class Names(pickle.Unpickler):
    """Records the names that a pickle refers to."""

    def __init__(self, path: Path) -> None:
        self.found: set[str] = set()
        super().__init__(path.open("rb"))

    def find_class(self, module: str, name: str) -> Any:
        self.found.add(f"{module}.{name}")
        return super().find_class(module, name)


def test_pickles_hold_text_and_one_name_of_the_suite(place: Place) -> None:
    """The job's order has the settings of the profile."""
    chosen = {
        "device": "cpu", "threads": 2, "checkpoint_every": 3, "memory_format": "contiguous", "compile": "default",
        "cuda_graph": "auto",
    }  # fmt: skip
    place.submit(sbatch=LATER, cpus_per_task=2, **chosen)
    for path in find_submissions(place.results)[0].glob("*/*.pkl"):
        names = Names(path)
        delayed = names.load()
        assert names.found == {"submitit.core.utils.DelayedSubmission", "prunebench.slurm.job.RunTask"}
        assert delayed._timeout_countdown > 1000, "submitit's own count, which a preemption of a short job uses up"
        order = json.loads(delayed.function.order)
        assert order["study"] == "fault"
        assert chosen.items() <= order["settings"].items()
        assert vars(delayed.function).keys() == {"order"}


def test_the_users_sbatch_variables_do_not_replace_the_profile(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SBATCH_ variable overrides the batch script; one of squeue would hide jobs, and they were submitted twice."""
    monkeypatch.setenv("SBATCH_PARTITION", "short")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    monkeypatch.setenv("SCANCEL_INTERACTIVE", "1")
    place.submit(sbatch=LATER)
    assert "nothing to submit" in place.submit(sbatch=LATER)
    array = read_manifest(find_submissions(place.results)[0]).arrays[0]
    shown = subprocess.run(["scontrol", "show", "job", f"{array.job}_0"], capture_output=True, text=True, check=True)
    assert "Partition=debug" in shown.stdout
    assert "TimeLimit=00:15:00" in shown.stdout


def test_two_submissions_at_once_do_not_queue_twice(place: Place) -> None:
    from prunebench.slurm.turn import submitting

    with submitting(place.results), pytest.raises(UserError, match=r"another submit, cancel or clean is at work"):
        place.submit(sbatch=LATER)
    assert "submitted 6 runs" in place.submit(sbatch=LATER)


def test_nothing_is_submitted_where_the_queue_is_silent(place: Place, tmp_path: Path) -> None:
    place.submit(sbatch=LATER)
    nowhere = tmp_path / "slurm.conf"
    nowhere.write_text("ClusterName=none\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=1\nMessageTimeout=2\n")
    place.environment = {"SLURM_CONF": str(nowhere)}
    with pytest.raises(DataMissing, match="nothing is submitted, because it might be queued already"):
        place.submit(sbatch=LATER)
    assert place.counts() == {"queued": 6}, "as when last known"
    code, shown, _ = place.command("status")
    assert code == 0
    assert "the queue cannot be asked: squeue" in shown
    place.environment = {}


def num_accounting_questions() -> int:
    """How often the accounting was asked for jobs since it started."""
    shown = subprocess.run(["sacctmgr", "show", "stats"], capture_output=True, text=True, check=True).stdout
    return sum(int(count) for count in re.findall(r"DBD_GET_JOBS_COND\s*\(.*?count:(\d+)", shown))


def test_status_asks_the_queue_once_and_the_accounting_once(place: Place) -> None:
    """Jobs of three arrays, all of which have left the queue."""
    place.submit(sbatch=LATER, max_array_size=2)
    jobs = list(jobs_of(place))
    assert len({job.split("_")[0] for job in jobs}) == 3
    subprocess.run(["scancel", *jobs], check=True)
    forget(place.results)
    before = num_queue_questions(), num_accounting_questions()
    for _ in range(2):
        assert place.command("status")[1].startswith("fault: 6 runs: 4 blocked, 2 lost")
    assert (num_queue_questions() - before[0], num_accounting_questions() - before[1]) == (1, 1)


def num_queue_questions() -> int:
    """How often the controller was asked for jobs since it started."""
    shown = subprocess.run(["sdiag"], capture_output=True, text=True, check=True).stdout
    return sum(int(count) for count in re.findall(r"REQUEST_JOB_(?:USER_)?INFO\s*\(.*?count:(\d+)", shown))


def test_arrays_are_split_at_the_controllers_own_limit(place: Place, tmp_path: Path) -> None:
    """MaxArraySize is 1001: the largest index is 1000."""
    from_init = STUDY.replace("sparsity: [50%, 70%]", "sparsity: [50%, 70%]\n    options: {start: init}")
    sparsities = str([round(0.3 + 0.0005 * index, 4) for index in range(1005)])
    large = Place(tmp_path / "large", seeds="[0]", sparsities=sparsities, study=from_init)
    try:
        assert "submitted 1005 runs as 1005 jobs" in large.submit(sbatch=LATER)
        (first, second) = read_manifest(find_submissions(large.results)[0]).arrays
        assert [len(first.elements), len(second.elements)] == [1001, 4]
        assert jobs_of(large).keys() >= {f"{first.job}_1000", f"{second.job}_3"}
        assert large.counts() == {"queued": 1005}
    finally:
        large.command("cancel", chooses=False)


@pytest.mark.timeout(200)
def test_a_thousand_runs_within_a_minute(tmp_path: Path) -> None:
    """Submitting takes one command; then `status` asks the controller once, and not again for half a minute."""
    sparsities = [round(0.5 + 0.004 * index, 3) for index in range(100)]
    place = Place(tmp_path, seeds=str(list(range(10))), sparsities=str(sparsities))
    begin = time.monotonic()
    said = place.submit(sbatch=LATER)
    seconds = time.monotonic() - begin
    try:
        assert "submitted 1010 runs as 1010 jobs" in said
        assert seconds < 60.0, f"{seconds:.0f} s"
        assert len(jobs_of(place)) == 1010
        before = num_queue_questions()
        assert place.command("status")[1].startswith("fault: 1010 runs: 1010 queued")
        assert place.command("status")[1].startswith("fault: 1010 runs: 1010 queued")
        assert num_queue_questions() - before == 1
    finally:
        said = place.command("cancel", chooses=False)[2]
    assert "cancelled 1010 jobs" in said
    assert jobs_of(place) == {}
