"""A run's state from its files, its job's record, the queue and the accounting, in that order of trust."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.run_folder import Status
from prunebench.benchmark.studies.plan import Job, Plan
from prunebench.slurm.run_state import Evidence, RunState, blocked_by_parent, judge
from prunebench.slurm.select_runs import choose
from prunebench.slurm.squeue import Ended, Queued
from prunebench.slurm.status import Overview
from prunebench.slurm.submission import ArrayRecord, Task, TaskRecord

TASK = Task(Path("/none"), ArrayRecord(name="n", folder="000-n", after=None, elements=(("r",),), job="7"), 0, 0)
STARTED = {"raw": "70", "host": "node1"}


def evidence(**known: object) -> Evidence:
    return Evidence(**{"task": TASK, **known})  # pyright: ignore[reportArgumentType]


def record(outcome: str = "", reason: str = "", starts: int = 1) -> TaskRecord:
    outcomes = {"r": {"outcome": outcome, "reason": reason}} if outcome else {}
    return TaskRecord(starts=[STARTED] * starts, outcomes=outcomes)


def in_queue(state: str, reason: str = "") -> Queued:
    return Queued(state, reason, "n")


CASES = {
    # a result counts, whatever SLURM says about the job
    "result": (Status("done"), evidence(ended=Ended("TIMEOUT", "0:1", "node1", "n")), "done", ""),
    "never submitted": (Status("missing"), Evidence(), "missing", ""),
    "waits": (Status("missing"), evidence(queued=in_queue("PENDING", "Priority")), "queued", "Priority"),
    "over the partition's limit": (
        Status("missing"), evidence(queued=in_queue("PENDING", "PartitionTimeLimit")), "queued", "PartitionTimeLimit",
    ),
    # the heartbeat of a killed node's claim is still fresh, but the job waits again
    "requeued": (
        Status("running"), evidence(queued=in_queue("PENDING", "BeginTime"), record=record(starts=3)),
        "queued", "BeginTime, requeued 2 times",
    ),
    "runs": (Status("running"), evidence(queued=in_queue("RUNNING"), record=record()), "running", ""),
    "starts": (Status("missing"), evidence(queued=in_queue("RUNNING")), "queued", "its job has started"),
    "failed while its job goes on": (
        Status("failed", "Diverged: x", False), evidence(queued=in_queue("RUNNING"), record=record("failed", "y")),
        "failed", "Diverged: x",
    ),
    # an earlier failure that is being retried is not this job's
    "tried again": (Status("failed", "x"), evidence(queued=in_queue("PENDING")), "queued", ""),
    "failed": (Status("failed", "x", False), evidence(), "failed", "x"),
    "failed where nothing could be written": (
        Status("missing"), evidence(record=record("failed", "disk")), "failed", "disk",
    ),
    # NODE_FAIL in the accounting is not final while the controller has requeued the job
    "node lost, requeued": (
        Status("interrupted"), evidence(queued=in_queue("PENDING"), ended=Ended("NODE_FAIL", "1:0", "node2", "n")),
        "queued", "",
    ),
    "killed": (
        Status("interrupted", "attempt 1 ended without a word"),
        evidence(ended=Ended("FAILED", "0:9", "node1", "n"), record=record()),
        "lost", "its job ended as FAILED on node1, exit code 0:9",
    ),
    "killed, claim still fresh": (
        Status("running"),
        evidence(ended=Ended("FAILED", "0:9", "node1", "n"), record=record(), claim={"slurm_job": "70"}),
        "lost", "its job ended as FAILED on node1, exit code 0:9",
    ),
    "computed by somebody else": (
        Status("running"), evidence(
            ended=Ended("FAILED", "0:9", "", "n"), record=record(),
            claim={"slurm_job": "", "pid": 5, "host": "login"},
        ),
        "running", "not by its job: by process 5 on login",
    ),
    # scancel of one waiting element leaves no trace in the accounting
    "vanished": (Status("missing"), evidence(), "lost", "its job is neither in the queue nor in the accounting"),
    "cancelled by the command": (Status("missing"), evidence(is_cancelled=True), "missing", "cancelled"),
    "cancelled while it ran": (Status("interrupted"), evidence(is_cancelled=True), "interrupted", "cancelled"),
    "cancelled, stopped in order": (
        Status("interrupted"), evidence(is_cancelled=True, record=record("interrupted", "stopped after epoch 3 of 9")),
        "interrupted", "cancelled, stopped after epoch 3 of 9",
    ),
    "killed after it stopped in order": (
        Status("interrupted"),
        evidence(
            ended=Ended("PREEMPTED", "0:0", "node1", "n"), record=record("interrupted", "stopped after epoch 3 of 9")
        ),
        "interrupted", "stopped after epoch 3 of 9, its job ended as PREEMPTED on node1",
    ),
    "blocked, may go now": (Status("missing"), evidence(record=record("blocked", "b")), "missing", "b"),
    "given up": (
        Status("interrupted"), evidence(record=TaskRecord(starts=[STARTED], ending="requeued 3 times")),
        "interrupted", "requeued 3 times",
    ),
    "queue unknown": (Status("missing"), evidence(queue_error="down"), "queued", "when last known; down"),
    "queue unknown, alive": (
        Status("running"), evidence(queue_error="down", record=record(), claim={"slurm_job": "70"}),
        "running", "when last known; down",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_state_of_a_run(case: str) -> None:
    status, known, state, reason = CASES[case]
    found = judge("r", status, known)
    assert (found.state, found.reason) == (state, reason)


DENSE = Run(dataset="d", model="m", method="dense", seed=0, recipe=Recipe(epochs=1))
CHILD = Run(dataset="d", model="m", method="a", seed=0, recipe=Recipe(epochs=1), parent=DENSE)


def overview_of(dense: RunState, child: RunState) -> Overview:
    states = {DENSE.id: dense, CHILD.id: child}
    states[CHILD.id] = blocked_by_parent(CHILD, states)
    return Overview(plan=Plan("s", (Job(DENSE, Status("missing")), Job(CHILD, Status("missing")))), states=states)


@pytest.mark.parametrize("dead", ["failed", "lost", "interrupted"])
@pytest.mark.parametrize("own", ["queued", "missing", "lost"])
def test_a_run_whose_dense_training_is_over_without_result_is_blocked(dead: str, own: str) -> None:
    found = overview_of(RunState(state=dead, reason="why"), RunState(state=own))  # pyright: ignore[reportArgumentType]
    assert found.states[CHILD.id].state == "blocked"
    assert DENSE.id in found.states[CHILD.id].reason
    assert "why" in found.states[CHILD.id].reason


def test_what_is_submitted() -> None:
    """Submits lost runs again, but nothing that is queued, that can only fail again, or that depends on such a run."""
    lost = overview_of(RunState(state="lost"), RunState(state="missing"))
    assert [run.id for run in choose(lost).runs] == [DENSE.id, CHILD.id]
    queued = overview_of(RunState(state="queued", job="7_0", is_in_queue=True), RunState(state="missing"))
    assert [run.id for run in choose(queued).runs] == [CHILD.id]
    assert choose(queued).queued == {DENSE.id: "7_0"}
    both = overview_of(
        RunState(state="queued", job="7_0", is_in_queue=True), RunState(state="queued", job="8_0", is_in_queue=True)
    )
    assert choose(both).runs == ()
    hopeless = overview_of(RunState(state="failed", reason="nan", retryable=False), RunState(state="missing"))
    assert choose(hopeless).runs == ()
    assert len(choose(hopeless).left_out) == 2


def test_a_run_does_not_wait_for_a_job_that_is_not_in_the_queue() -> None:
    """The dense training is computed outside the cluster, so there is no job that a dependency could name."""
    found = choose(overview_of(RunState(state="running", job="7_0"), RunState(state="missing")))
    assert found.runs == ()
    assert found.queued == {}
    assert found.left_out == (f"{CHILD.id} needs {DENSE.id}, which is computed outside the queue",)
