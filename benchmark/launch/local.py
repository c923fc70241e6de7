"""Compute the runs of a study on this machine, in worker processes. This process loads no torch."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..preflight.rehearsal import representatives
from ..runs.run import Run, to_dict
from ..runs.settings import THREAD_VARIABLES, Settings
from ..runs.store import Store
from ..runs.waiting import noted
from ..studies.plan import Job
from .attempt import Ending
from .pool import WorkerPool
from .run_queue import RunQueue, make_queue
from .time_limit import TimeLimit
from .worker import ReadData
from .worker_environment import changed_environment
from .worker_limit import NoWorker
from .worker_process import signals_blocked

BUSY_POLL_SECONDS = 1.0


@dataclass(kw_only=True)
class Listener:
    """Callbacks of the command line.

    `on_start`: the data were read and runs begin. `on_busy(run)`: another process has the run; called again as long as
    it has. `on_line(line)`: a line about networks or workers. `on_stop(reason, num_left)`: so many runs are left,
    because no worker can compute them.
    """

    on_start: Callable[[], None] = lambda: None
    on_epoch: Callable[[Run, dict[str, Any]], None] = lambda run, record: None
    on_end: Callable[[Run, Ending], None] = lambda run, ending: None
    on_busy: Callable[[Run], None] = lambda run: None
    on_line: Callable[[str], None] = lambda line: None
    on_stop: Callable[[str, int], None] = lambda reason, num_left: None


def run_local(
    jobs: Sequence[Job],
    study: str,
    settings: Settings,
    num_workers: int,
    listener: Listener,
    limit: TimeLimit | None = None,
    unchecked: Collection[str] = (),
) -> list[Ending]:
    """Compute all jobs, in the order of `RunQueue`; returns how each ended.

    Raises UserError before any run begins if the data cannot be read (all runs of a study share them) or are not those
    of a stored dense training, or if a network or method refuses its options. On KeyboardInterrupt every worker stops
    after its epoch with a checkpoint, then the interrupt is raised again. There are fewer endings than jobs if time ran
    out, or if no worker was left (then `listener.on_stop` was called).

    Runs whose ids are in `unchecked` are refused when they begin, not before.

    With a limit only runs begin that can be finished within it. Those still running at its end stop as after a
    KeyboardInterrupt.
    """
    jobs, condemned = _separate(jobs, study, Store(settings.results))
    queue = make_queue(jobs)
    endings: list[Ending] = []

    def finish(run: Run, ending: Ending) -> None:
        if ending.outcome == "busy":
            listener.on_busy(run)
            queue.hold(run, BUSY_POLL_SECONDS)
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

    number = max(1, min(num_workers, len(jobs)))
    pool = WorkerPool(
        study=study, settings=settings, num_workers=number, on_end=finish, on_epoch=listener.on_epoch,
        say=listener.on_line, starting=lambda: _worker_environment(settings),
    )  # fmt: skip
    try:
        if jobs:
            pool.start_all()
            for line in pool.read_data(_request(jobs, unchecked)):
                listener.on_line(line)
        listener.on_start()
        for run, ending in condemned:
            finish(run, ending)
        with noted(Store(settings.results).study_folder(study), [job.run.id for job in jobs], number):
            _compute(queue, pool, limit)
    except NoWorker as error:
        listener.on_stop(str(error), len(jobs) + len(condemned) - len(endings))
    finally:
        pool.shut_down()
    return endings


def _compute(queue: RunQueue, pool: WorkerPool, limit: TimeLimit | None) -> None:
    """Until nothing is left, or nothing that can be finished within the limit."""
    is_stopping = False

    def fits(run: Run) -> bool:
        return limit is None or limit.can_finish(run)

    while pool.is_busy or not queue.is_empty():
        if limit is not None and limit.is_over():
            if not is_stopping:
                pool.ask_to_stop()
            is_stopping = True
        else:
            pool.assign(lambda: queue.take(fits))
        if limit is not None and not pool.is_busy and (is_stopping or not queue.can_start_any(fits)):
            return
        pool.collect(BUSY_POLL_SECONDS)


def _request(jobs: Sequence[Job], unchecked: Collection[str]) -> ReadData:
    """What to check before any run begins."""
    runs = [job.run for job in jobs]
    rehearsed = representatives(run for run in runs if run.id not in unchecked)
    parents = {run.parent.id: to_dict(run.parent) for run in runs if run.parent is not None}
    return ReadData(to_dict(runs[0]), tuple(to_dict(run) for run in rehearsed), tuple(parents.values()))


def _separate(jobs: Sequence[Job], study: str, store: Store) -> tuple[list[Job], list[tuple[Run, Ending]]]:
    """The jobs that can be computed, and the runs that cannot, because their dense training failed for good."""
    open_ids = {job.run.id for job in jobs}
    able: list[Job] = []
    condemned: list[tuple[Run, Ending]] = []
    for job in jobs:
        parent = job.run.parent
        if parent is None or parent.id in open_ids or store.folder(study, parent).is_stored():
            able.append(job)
        else:
            condemned.append((job.run, _blocked(parent, store.folder(study, parent).status().reason)))
    return able, condemned


def _blocked(parent: Run, reason: str) -> Ending:
    return Ending("blocked", f"its dense training {parent.id} did not finish: {reason}", retryable=True)


@contextlib.contextmanager
def _worker_environment(settings: Settings) -> Iterator[None]:
    """Around the start of a worker: its number of threads, and Ctrl-C held back until the worker ignores it."""
    threads = {name: str(settings.threads) for name in THREAD_VARIABLES}
    with changed_environment(threads), signals_blocked({signal.SIGINT}):
        yield
