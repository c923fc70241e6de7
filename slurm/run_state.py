"""The state of one run, decided from its files, its job's record, the queue and the accounting. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..benchmark.runs.claim import describe
from ..benchmark.runs.run import Run
from ..benchmark.runs.run_folder import Status
from .squeue import Ended, Queued
from .submission import Task, TaskRecord

State = Literal["done", "running", "queued", "blocked", "failed", "lost", "interrupted", "damaged", "missing"]
STATES: tuple[State, ...] = (
    "done", "running", "queued", "blocked", "failed", "lost", "interrupted", "damaged", "missing",
)  # fmt: skip
_DEAD = ("failed", "lost", "interrupted", "blocked")


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A run's state, with the job it was last submitted with, all runs of that job, and the job's log.

    `lost`: its job ended without recording why. `blocked`: its dense training ended without a result.
    """

    state: State
    reason: str = ""
    retryable: bool = True
    job: str = ""
    job_runs: tuple[str, ...] = ()
    log: Path | None = None
    is_in_queue: bool = False

    @property
    def is_active(self) -> bool:
        return self.state in ("running", "queued")

    @property
    def can_be_submitted(self) -> bool:
        return self.state != "done" and not self.is_active and self.retryable


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a run besides its own files."""

    task: Task | None = None
    queued: Queued | None = None
    ended: Ended | None = None
    record: TaskRecord = field(default_factory=TaskRecord)
    queue_error: str = ""
    is_cancelled: bool = False
    claim: dict[str, Any] = field(default_factory=dict)

    def outcome_of(self, run_id: str) -> Mapping[str, str]:
        """What the job's record says of the run; empty if nothing."""
        return self.record.outcomes.get(run_id, {})


def judge(run_id: str, status: Status, evidence: Evidence) -> RunState:
    """One run's state from its files (`status`) and its job."""
    task = evidence.task
    # If the job computed the run already, its record does not describe the computation that is now asked for.
    has_computed = evidence.outcome_of(run_id).get("outcome") == "done"
    is_anew = status.state == "missing" and has_computed
    is_damaged = status.state == "damaged" and (evidence.queued is None or has_computed)
    if status.state == "done" or task is None or task.job is None or is_anew or is_damaged:
        return RunState(state=status.state, reason=status.reason, retryable=status.retryable)
    log = task.log_path if task.log_path.exists() else None
    state = _judge_queued(run_id, status, evidence) if evidence.queued else _judge_gone(run_id, status, evidence)
    return replace(state, job=task.job, job_runs=task.run_ids, log=log, is_in_queue=evidence.queued is not None)


def _judge_queued(run_id: str, status: Status, evidence: Evidence) -> RunState:
    assert evidence.queued is not None
    outcome = evidence.outcome_of(run_id)
    if outcome.get("outcome") == "failed":
        return _failed(status, outcome)
    requeued = f"requeued {evidence.record.requeues} times" if evidence.record.requeues else ""
    if not evidence.queued.is_running:
        return RunState(state="queued", reason=_join(evidence.queued.reason, requeued))
    if status.state == "running":
        return RunState(state="running", reason=requeued)
    return RunState(state="queued", reason=_join("its job has started", requeued))


def _judge_gone(run_id: str, status: Status, evidence: Evidence) -> RunState:
    """Its job is no longer in the queue, or the queue cannot be asked."""
    outcome = evidence.outcome_of(run_id)
    if status.state == "failed" or outcome.get("outcome") == "failed":
        return _failed(status, outcome)
    own_jobs = {str(start.get("raw")) for start in evidence.record.starts}
    if status.state == "running" and str(evidence.claim.get("slurm_job", "")) not in own_jobs:
        return RunState(state="running", reason=f"not by its job: by {describe(evidence.claim)}")
    if evidence.queue_error:
        state = "running" if status.state == "running" else "queued"
        return RunState(state=state, reason=f"when last known; {evidence.queue_error}")
    if outcome.get("outcome") in ("blocked", "busy"):
        return RunState(state="missing", reason=outcome["reason"])
    if evidence.record.ending:
        return RunState(state="interrupted", reason=evidence.record.ending)
    stopped = outcome["reason"] if outcome.get("outcome") == "interrupted" else ""
    if evidence.is_cancelled:
        state = "interrupted" if status.state != "missing" else "missing"
        return RunState(state=state, reason=_join("cancelled", stopped))
    if outcome.get("outcome") == "interrupted":
        # The run stopped with a checkpoint. A job without an end was then killed before it could requeue itself.
        ended = "" if evidence.record.end is not None else _reason_of_loss(evidence)
        return RunState(state="interrupted", reason=_join(stopped, ended))
    return RunState(state="lost", reason=_reason_of_loss(evidence))


def _failed(status: Status, outcome: Mapping[str, str]) -> RunState:
    """By the run's own record, or by the job's where the run's could not be written (a full disk)."""
    if status.state == "failed":
        return RunState(state="failed", reason=status.reason, retryable=status.retryable)
    return RunState(state="failed", reason=outcome["reason"])


def _reason_of_loss(evidence: Evidence) -> str:
    ended = evidence.ended
    if ended is None:
        started = f"; it last ran on {evidence.record.starts[-1]['host']}" if evidence.record.starts else ""
        return f"its job is neither in the queue nor in the accounting{started}"
    place = f" on {ended.node}" if ended.node and ended.node != "None assigned" else ""
    code = f", exit code {ended.exit_code}" if ended.exit_code not in ("", "0:0") else ""
    return f"its job ended as {ended.state}{place}{code}"


def blocked_by_parent(run: Run, states: Mapping[str, RunState]) -> RunState:
    """The run's state; `blocked`, whatever its job does, when its dense training ended without a result."""
    own = states[run.id]
    parent = states.get(run.parent.id) if run.parent else None
    if parent is None or own.state in ("done", "running", "failed"):
        return own
    # It waits for a dense training that nobody computes any more, for example one cancelled with another study.
    waits_in_vain = own.state == "queued" and parent.state == "missing"
    if parent.state not in _DEAD and not waits_in_vain:
        return own
    assert run.parent is not None
    reason = f"its dense training {run.parent.id} {_verb(parent.state)}{': ' * bool(parent.reason)}{parent.reason}"
    return replace(own, state="blocked", reason=reason, retryable=parent.retryable)


def _verb(state: str) -> str:
    return {"failed": "failed", "lost": "was lost", "interrupted": "was interrupted"}.get(state, f"is {state}")


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
