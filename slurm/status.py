"""Where every run of a study stands: its files first, then the queue, then the accounting.

Files come first because SLURM's state of a job is not the outcome of a run: a job that was stopped within its grace
time may have written its result, and one that COMPLETED may have found its dense training missing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..benchmark.api.errors import Damaged
from ..benchmark.runs.claim import holder
from ..benchmark.runs.run import Run
from ..benchmark.runs.store import Store
from ..benchmark.studies.plan import Plan, make_plan, with_parents
from .collection import read_submissions
from .job_arrays import DENSE_ARRAY
from .run_state import Evidence, RunState, blocked_by_parent, judge
from .squeue import Snapshot, cache_path, look
from .submission import Manifest, Task, TaskRecord, beginning_of_names, newest_task_by_run


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All runs of a study with their states by run id, and why the cluster could not be asked (empty if it could).

    `code_changed`: ids of runs whose job found other code when it started than at the submission. `unknown_jobs`: jobs
    in the queue, by submission, whose manifest is damaged, so that their runs are not known. `damaged`: files that
    could not be read.
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


def overview(study: str, runs: Sequence[Run], results: Path, *, use_cache: bool = True) -> Overview:
    """The states of all runs: one query of the queue for all jobs, and none where nothing was submitted."""
    store = Store(results)
    submissions = read_submissions(results, store.note)
    shared = {run.id for run in with_parents(runs) if run.is_dense}
    tasks = newest_task_by_run(submissions.read, study, shared)
    if tasks or submissions.damaged:
        open_runs = {job.run.id for job in make_plan(study, runs, store).jobs if job.status.state != "done"}
        snapshot = _snapshot(tasks, open_runs, cache_path(results) if use_cache else None, bool(submissions.damaged))
    else:
        snapshot = Snapshot()
    # Read after the queue: a job that has left the queue has written all its files, so none is taken for lost.
    plan = make_plan(study, runs, store)
    read_record = functools.cache(lambda task: _record(task, store))
    gather = functools.partial(_gather, _names(snapshot), snapshot, dict(submissions.read), store)
    states: dict[str, RunState] = {}
    for job in plan.jobs:
        task = tasks.get(job.run.id) if job.status.state != "done" else None
        evidence = Evidence() if task is None else gather(study, job.run, task, read_record(task))
        states[job.run.id] = judge(job.run.id, job.status, evidence)
    for job in plan.jobs:
        states[job.run.id] = blocked_by_parent(job.run, states)
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
    """The job's record; a damaged one is noted and counts as empty."""
    try:
        return task.record()
    except Damaged as error:
        store.note(error)
        return TaskRecord()


def _unknown_jobs(submissions: Iterable[Path], study: str, snapshot: Snapshot) -> dict[Path, tuple[str, ...]]:
    """Jobs in the queue whose manifest is damaged and that may compute runs of the study; found by their names."""
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


Names = Mapping[tuple[str, str], str]
"""Jobs in the queue by the name of their array and their index in it."""


def _names(snapshot: Snapshot) -> Names:
    return {(entry.name, job.rpartition("_")[2]): job for job, entry in snapshot.queue.items()}


def _gather(
    names: Names, snapshot: Snapshot, manifests: Mapping[Path, Manifest], store: Store,
    study: str, run: Run, task: Task, record: TaskRecord,
) -> Evidence:  # fmt: skip
    task = _with_job(task, names)
    queued, ended = snapshot.queue.get(task.job or ""), snapshot.ended.get(task.job or "")
    # A controller that has lost its state uses job ids again; names of arrays are unique.
    return Evidence(
        task=task,
        queued=queued if queued is not None and queued.name == task.array.name else None,
        ended=ended if ended is not None and ended.name == task.array.name else None,
        record=record,
        queue_error=snapshot.queue_error,
        is_cancelled=manifests[task.submission].cancelled is not None,
        claim=holder(store.folder(study, run).path) or {},
    )


def _with_job(task: Task, names: Names) -> Task:
    """A submission that was killed between sbatch and its manifest has no job id: the job is found by its name."""
    if task.array.job is not None:
        return task
    found = names.get((task.array.name, str(task.index)))
    return task if found is None else replace(task, array=replace(task.array, job=found.split("_")[0]))
