"""Where every run of a study stands: its files first, then the queue, then the accounting.

The files are trusted first, because SLURM's state of a job is not the outcome of a run: a job that was stopped within
its grace time may have written its result, and one that COMPLETED may have found its dense training missing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..benchmark.api.errors import Damaged
from ..benchmark.runs.claim import describe, holder
from ..benchmark.runs.run import Run
from ..benchmark.runs.store import Status, Store
from ..benchmark.studies.plan import Plan, make_plan, with_parents
from .collection import read_submissions
from .job_arrays import DENSE_ARRAY
from .squeue import Ended, Queued, Snapshot, cache_path, look
from .submission import Manifest, Task, TaskRecord, beginning_of_names, newest_task_by_run

State = Literal["done", "running", "queued", "blocked", "failed", "lost", "interrupted", "damaged", "missing"]
STATES: tuple[State, ...] = (
    "done", "running", "queued", "blocked", "failed", "lost", "interrupted", "damaged", "missing",
)  # fmt: skip
STARTED = "its job has started"
_DEAD = ("failed", "lost", "interrupted", "blocked")


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A run's state, with the job it was last submitted with, all runs of that job, and the job's log.

    `lost`: its job is over, and nobody recorded why. `blocked`: its dense training did not end well.
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
class Overview:
    """All runs of a study with their states by run id, and why the cluster could not be asked (empty if it could).

    `code_changed`: ids of runs whose job found other code when it started than at the submission. `unknown_jobs`: jobs
    in the queue, by submission, of which nothing says any more which runs they compute. `damaged`: files that were
    read past.
    """

    plan: Plan
    states: dict[str, RunState]
    code_changed: tuple[str, ...] = ()
    queue_error: str = ""
    accounting_error: str = ""
    unknown_jobs: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    damaged: dict[Path, str] = field(default_factory=dict)

    def count(self, state: str) -> int:
        return sum(found.state == state for found in self.states.values())

    @property
    def has_active(self) -> bool:
        return bool(self.unknown_jobs) or any(state.is_active for state in self.states.values())


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """What is known of a run beside its own files."""

    task: Task | None = None
    queued: Queued | None = None
    ended: Ended | None = None
    record: TaskRecord = field(default_factory=TaskRecord)
    queue_error: str = ""
    is_cancelled: bool = False
    claim: dict[str, Any] = field(default_factory=dict)


def overview(study: str, runs: Sequence[Run], results: Path, *, use_cache: bool = True) -> Overview:
    """Look at everything: one query of the queue for all jobs, and none where nothing was submitted."""
    store = Store(results)
    submissions = read_submissions(results, store.note)
    shared = {run.id for run in with_parents(runs) if run.is_dense}
    tasks = newest_task_by_run(submissions.read, study, shared)
    if tasks or submissions.damaged:
        open_runs = {job.run.id for job in make_plan(study, runs, store).jobs if job.status.state != "done"}
        snapshot = _snapshot(tasks, open_runs, cache_path(results) if use_cache else None, bool(submissions.damaged))
    else:
        snapshot = Snapshot()
    # After the queue: a job that has left it has written all its files, so none is taken for lost by a race.
    plan = make_plan(study, runs, store)
    names = {(entry.name, job.rpartition("_")[2]): job for job, entry in snapshot.queue.items()}
    manifests = dict(submissions.read)
    read_record = functools.cache(lambda task: _record(task, store))
    states: dict[str, RunState] = {}
    for job in plan.jobs:
        task = tasks.get(job.run.id) if job.status.state != "done" else None
        if task is not None:
            record = read_record(task)
            task = _with_job(task, names)
            evidence = _gather(task, snapshot, manifests[task.submission], record, store, study, job.run)
        else:
            evidence = _Evidence()
        states[job.run.id] = judge(job.run.id, job.status, evidence)
    for job in plan.jobs:
        states[job.run.id] = _blocked_by_parent(job.run, states)
    return Overview(
        plan=plan,
        states=states,
        code_changed=tuple(
            job.run.id for job in plan.jobs if job.run.id in tasks and read_record(tasks[job.run.id]).code_changed
        ),
        queue_error=snapshot.queue_error,
        accounting_error=snapshot.accounting_error,
        unknown_jobs=_unknown_jobs(submissions.damaged, study, snapshot),
        damaged=dict(store.damaged),
    )


def _record(task: Task, store: Store) -> TaskRecord:
    """A damaged one says as little as one that is not there."""
    try:
        return task.record()
    except Damaged as error:
        store.note(error)
        return TaskRecord()


def _unknown_jobs(submissions: Iterable[Path], study: str, snapshot: Snapshot) -> dict[Path, tuple[str, ...]]:
    """The jobs in the queue whose manifest is damaged, as far as they may compute runs of the study; by their names."""
    found = {}
    for path in submissions:
        is_own = path.parent.parent.name == study
        beginning = beginning_of_names(path) + ("" if is_own else DENSE_ARRAY)
        found[path] = tuple(job for job, entry in snapshot.queue.items() if entry.name.startswith(beginning))
    return {path: jobs for path, jobs in found.items() if jobs}


def _snapshot(tasks: dict[str, Task], open_runs: set[str], cache: Path | None, asks_always: bool) -> Snapshot:
    wanted = [tasks[run_id] for run_id in open_runs if run_id in tasks]
    if not wanted and not asks_always:
        return Snapshot()
    return look({task.job for task in wanted if task.job}, cache)


def _with_job(task: Task, names: dict[tuple[str, str], str]) -> Task:
    """A submission that was killed between sbatch and its manifest knows no job id: found by its unique name."""
    if task.array.job is not None:
        return task
    found = names.get((task.array.name, str(task.index)))
    return task if found is None else replace(task, array=replace(task.array, job=found.split("_")[0]))


def _gather(
    task: Task, snapshot: Snapshot, manifest: Manifest, record: TaskRecord, store: Store, study: str, run: Run
) -> _Evidence:
    job = task.job or ""
    queued = snapshot.queue.get(job)
    if queued is not None and queued.name != task.array.name:
        # job ids are used again after a controller has lost its state
        queued = None
    ended = snapshot.ended.get(job)
    if ended is not None and ended.name != task.array.name:
        ended = None
    return _Evidence(
        task=task,
        queued=queued,
        ended=ended,
        record=record,
        queue_error=snapshot.queue_error,
        is_cancelled=manifest.cancelled is not None,
        claim=holder(store.folder(study, run).path) or {},
    )


def judge(run_id: str, status: Status, evidence: _Evidence) -> RunState:
    """One run's state from its files (`status`) and its job."""
    task = evidence.task
    # A job that has computed a run says nothing of one that is to be computed anew.
    has_computed = evidence.record.outcomes.get(run_id, {}).get("outcome") == "done"
    is_anew = status.state == "missing" and has_computed
    is_damaged = status.state == "damaged" and (evidence.queued is None or has_computed)
    if status.state == "done" or task is None or task.job is None or is_anew or is_damaged:
        return RunState(state=status.state, reason=status.reason, retryable=status.retryable)
    log = task.log_path if task.log_path.exists() else None
    state = _judge_queued(run_id, status, evidence) if evidence.queued else _judge_gone(run_id, status, evidence)
    return replace(state, job=task.job, job_runs=task.run_ids, log=log, is_in_queue=evidence.queued is not None)


def _judge_queued(run_id: str, status: Status, evidence: _Evidence) -> RunState:
    assert evidence.queued is not None
    outcome = evidence.record.outcomes.get(run_id, {})
    if outcome.get("outcome") == "failed":
        return _failed(status, outcome)
    requeued = f"requeued {evidence.record.requeues} times" if evidence.record.requeues else ""
    if not evidence.queued.is_running:
        return RunState(state="queued", reason=_join(evidence.queued.reason, requeued))
    if status.state == "running":
        return RunState(state="running", reason=requeued)
    return RunState(state="queued", reason=_join(STARTED, requeued))


def _judge_gone(run_id: str, status: Status, evidence: _Evidence) -> RunState:
    """Its job is in the queue no more (or the queue cannot be asked)."""
    outcome = evidence.record.outcomes.get(run_id, {})
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
        # It stopped in order, but its job was not to end.
        ended = "" if evidence.record.end is not None else _reason_of_loss(evidence)
        return RunState(state="interrupted", reason=_join(stopped, ended))
    return RunState(state="lost", reason=_reason_of_loss(evidence))


def _failed(status: Status, outcome: dict[str, str]) -> RunState:
    """The run's own record counts; the job's stands in where the run's could not be written (a full disk)."""
    if status.state == "failed":
        return RunState(state="failed", reason=status.reason, retryable=status.retryable)
    return RunState(state="failed", reason=outcome["reason"])


def _reason_of_loss(evidence: _Evidence) -> str:
    ended = evidence.ended
    if ended is None:
        started = f"; it last ran on {evidence.record.starts[-1]['host']}" if evidence.record.starts else ""
        return f"its job is neither in the queue nor in the accounting{started}"
    place = f" on {ended.node}" if ended.node and ended.node != "None assigned" else ""
    code = f", exit code {ended.exit_code}" if ended.exit_code not in ("", "0:0") else ""
    return f"its job ended as {ended.state}{place}{code}"


def _blocked_by_parent(run: Run, states: dict[str, RunState]) -> RunState:
    """A run is blocked, whatever its job does, when its dense training is over without a result."""
    own = states[run.id]
    parent = states.get(run.parent.id) if run.parent else None
    if parent is None or own.state in ("done", "running", "failed"):
        return own
    # What waits for a dense training that nobody computes any more, e.g. one that was cancelled with another study
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
