"""Compute a plan on this machine: which run comes next, in worker processes that each do one after another.

The parent process never loads torch. A worker that dies takes one run with it, not the study.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import Any

from ..preflight.rehearsal import representatives
from ..runs.recompute import can_be_started_from
from ..runs.run import Run, to_dict
from ..runs.settings import Settings
from ..runs.store import Store
from ..studies.plan import Job
from ..studies.run_cost import planned_epochs
from .attempt import Ending
from .pool import NoWorker, WorkerPool
from .time_limit import TimeLimit
from .worker import ReadData

BUSY_POLL_SECONDS = 1.0


@dataclass(kw_only=True)
class Listener:
    """What the command line wants to hear.

    `on_start`: the data are there and runs begin. `on_busy`: another process holds a run; said again as long as it
    does. `on_line(line)`: of networks and workers. `on_stop(reason, num_left)`: so many runs are left, because there is
    no worker for them.
    """

    on_start: Callable[[], None] = lambda: None
    on_epoch: Callable[[Run, dict[str, Any]], None] = lambda run, record: None
    on_end: Callable[[Run, Ending], None] = lambda run, ending: None
    on_busy: Callable[[Run], None] = lambda run: None
    on_line: Callable[[str], None] = lambda line: None
    on_stop: Callable[[str, int], None] = lambda reason, num_left: None


def _fits(run: Run, limit: TimeLimit | None) -> bool:
    return limit is None or limit.can_finish(run)


@dataclass
class _Queue:
    """Runs that wait: for a worker, for their parent, or for another process that holds them."""

    ready: list[Run] = field(default_factory=list)
    blocked: dict[str, list[Run]] = field(default_factory=dict)
    busy: list[tuple[float, Run]] = field(default_factory=list)

    def take(self, limit: TimeLimit | None = None) -> Run | None:
        """The next run, of those that can be finished within the limit."""
        current = time.monotonic()
        for entry in list(self.busy):
            if entry[0] <= current and _fits(entry[1], limit):
                self.busy.remove(entry)
                return entry[1]
        index = next((index for index, run in enumerate(self.ready) if _fits(run, limit)), None)
        return None if index is None else self.ready.pop(index)

    def can_start_any(self, limit: TimeLimit | None) -> bool:
        """Whether a run can still begin, now or when the process that holds it lets it go."""
        return any(_fits(run, limit) for run in (*self.ready, *(run for _, run in self.busy)))

    def release(self, runs: Sequence[Run]) -> None:
        """Runs that may start: behind those that others wait for, and longest first, so that none straggles."""
        self.ready = sorted([*self.ready, *runs], key=lambda run: (run.id not in self.blocked, -planned_epochs(run)))

    def is_empty(self) -> bool:
        return not (self.ready or self.busy or self.blocked)


def run_local(
    jobs: Sequence[Job],
    study: str,
    settings: Settings,
    num_workers: int,
    listener: Listener,
    limit: TimeLimit | None = None,
) -> list[Ending]:
    """Compute all jobs and return how each ended; long ones first, runs that need a dense training after it.

    Raises UserError, before any run is attempted, if the first one's data cannot be read (all runs of a study share
    them) or are not those of a stored dense training, or if a network or a method refuses what it is given. On
    KeyboardInterrupt every worker stops after its epoch with a checkpoint, then the interrupt goes on up. Fewer endings
    than jobs: there was no worker for the others, and `listener.on_stop` has heard why; or no time.

    With a limit only runs begin that can be finished within it, and those that still compute at its end stop as after
    a KeyboardInterrupt.
    """
    jobs, condemned = _separate(jobs, study, Store(settings.results))
    queue = _make_queue(jobs)
    endings: list[Ending] = []

    def finish(run: Run, ending: Ending) -> None:
        if ending.outcome == "busy":
            listener.on_busy(run)
            queue.busy.append((time.monotonic() + BUSY_POLL_SECONDS, run))
            return
        endings.append(ending)
        listener.on_end(run, ending)
        children = queue.blocked.pop(run.id, [])
        if ending.outcome == "done":
            queue.release(children)
            if limit is not None:
                limit.learn(run)
        elif not (ending.outcome == "interrupted" and limit is not None and limit.is_over()):
            for child in children:
                finish(child, _blocked(run, ending.reason))

    pool = WorkerPool(
        study=study, settings=settings, num_workers=max(1, min(num_workers, len(jobs))), on_end=finish,
        on_epoch=listener.on_epoch, say=listener.on_line, starting=lambda: _worker_environment(settings),
    )  # fmt: skip
    try:
        if jobs:
            pool.start_all()
            for line in pool.read_data(_request(jobs)):
                listener.on_line(line)
        listener.on_start()
        for run, ending in condemned:
            finish(run, ending)
        _compute(queue, pool, limit)
    except NoWorker as error:
        listener.on_stop(str(error), len(jobs) + len(condemned) - len(endings))
    finally:
        pool.shut_down()
    return endings


def _compute(queue: _Queue, pool: WorkerPool, limit: TimeLimit | None) -> None:
    """Until nothing is left, or nothing that can be finished within the limit."""
    is_stopping = False
    while pool.is_busy or not queue.is_empty():
        if limit is not None and limit.is_over():
            if not is_stopping:
                pool.ask_to_stop()
            is_stopping = True
        else:
            pool.assign(lambda: queue.take(limit))
        if limit is not None and not pool.is_busy and (is_stopping or not queue.can_start_any(limit)):
            return
        pool.collect(BUSY_POLL_SECONDS)


def _request(jobs: Sequence[Job]) -> ReadData:
    """What is looked at before any run begins; see `ReadData`."""
    runs = [job.run for job in jobs]
    parents = {run.parent.id: to_dict(run.parent) for run in runs if run.parent is not None}
    return ReadData(to_dict(runs[0]), tuple(to_dict(run) for run in representatives(runs)), tuple(parents.values()))


def _separate(jobs: Sequence[Job], study: str, store: Store) -> tuple[list[Job], list[tuple[Run, Ending]]]:
    """The jobs that can be computed, and the runs that cannot: their dense training failed and is not repeated."""
    open_ids = {job.run.id for job in jobs}
    able: list[Job] = []
    condemned: list[tuple[Run, Ending]] = []
    for job in jobs:
        parent = job.run.parent
        if parent is None or parent.id in open_ids or can_be_started_from(store.folder(study, parent)):
            able.append(job)
        else:
            condemned.append((job.run, _blocked(parent, store.folder(study, parent).status().reason)))
    return able, condemned


def _blocked(parent: Run, reason: str) -> Ending:
    return Ending("blocked", f"its dense training {parent.id} did not finish: {reason}", retryable=True)


def _make_queue(jobs: Sequence[Job]) -> _Queue:
    """Parents and long runs first: what others wait for, or what would be alone at the end, must not start last."""
    open_ids = {job.run.id for job in jobs}
    ordered = sorted(jobs, key=lambda job: (-job.wanted_by, -planned_epochs(job.run)))
    queue = _Queue()
    for job in ordered:
        parent = job.run.parent
        if parent is not None and parent.id in open_ids:
            queue.blocked.setdefault(parent.id, []).append(job.run)
        else:
            queue.ready.append(job.run)
    return queue


@contextlib.contextmanager
def _worker_environment(settings: Settings) -> Iterator[None]:
    """Around the start of a worker: the thread counts, which numerical libraries read when they load, and Ctrl-C, which
    reaches the whole process group, held back until the worker ignores it."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    saved = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(settings.threads)))
    # Started with the first worker, it would unblock SIGINT behind our back.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
