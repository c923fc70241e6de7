"""The parent's side of workers: they are started, given runs, listened to, and replaced when they die. Loads no torch.

A worker that dies takes one run with it, not the study. One that dies without a run, or before it was ready, takes
nothing with it. Both launchers use this pool.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from ..runs.run import Run, to_dict
from ..runs.settings import Settings
from ..runs.store import Store
from .attempt import Ending
from .worker import CannotStart, DataRead, Note, ReadData, Ready, Work, work
from .worker_process import (
    Worker,
    ask_to_stop,
    cause_of_death,
    close_attempt,
    end_process,
    smallest_free,
    start_worker,
    wait_for_ends,
)

FAILED_STARTS = 3
"""So many workers in a row that die before they are ready: no more are started."""

MACHINE_FAILURES = 3
"""So many runs of a worker in a row that fail by the machine's fault: it takes no more."""

RETURNS = 2
"""How often a run is given to another worker after one that died before the run began, or was spoiled by it."""


class NoWorker(Exception):
    """Runs are left, but no worker can be started, or none takes any more; the message says why."""


@dataclass(kw_only=True)
class WorkerPool:
    """Workers for the runs of a study.

    `on_end(run, ending)` hears how each attempt ended, `on_epoch(run, record)` every epoch, `say(line)` what happens to
    workers. `starting` surrounds the start of a process. `can_replace`: whether a dead worker may be replaced.
    """

    study: str
    settings: Settings
    num_workers: int
    on_end: Callable[[Run, Ending], None]
    on_epoch: Callable[[Run, dict[str, Any]], None]
    say: Callable[[str], None]
    target: Work = work
    starting: Callable[[], AbstractContextManager[Any]] = nullcontext
    can_replace: bool = True
    workers: list[Worker] = field(default_factory=list)
    _again: list[Run] = field(default_factory=list)
    _num_returns: dict[str, int] = field(default_factory=dict)
    _failed_starts: int = 0
    _why_dead: str = ""
    _machine_failures: dict[int, int] = field(default_factory=dict)
    _retired: set[int] = field(default_factory=set)
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        self.settings = absolute(self.settings)

    @property
    def is_busy(self) -> bool:
        """Whether runs are being computed, or wait to be given out once more."""
        return bool(self._again) or any(worker.run for worker in self.workers)

    def start_all(self) -> None:
        """Start all workers, which load torch at the same time."""
        while len(self.workers) < self.num_workers and self._start() is not None:
            pass

    def read_data(self, request: ReadData) -> tuple[str, ...]:
        """Have a worker read the data and rehearse the runs: here it would take as long again, before anything starts.

        Returns warnings. Raises UserError for what the user can fix, NoWorker. A worker that dies of it leaves the
        reason to the run itself.
        """
        while (worker := self._idle_or_new()) is not None:
            with contextlib.suppress(OSError):
                worker.pipe.send(request)
            while worker in self.workers and worker.answer is None:
                self.collect(1.0)
            problem = worker.problem if worker.answer is None else worker.answer.problem
            if problem is not None:
                raise problem
            if worker.is_ready:
                return () if worker.answer is None else worker.answer.warnings
        return ()

    def assign(self, take: Callable[[], Run | None]) -> None:
        """Give every idle worker a run from `take`, until it has none, and start workers for them. Raises NoWorker."""
        while self._again or self._has_room():
            run = self._again.pop(0) if self._again else take()
            if run is None:
                return
            worker = self._idle_or_new(run)
            if worker is None:
                return
            worker.run = run
            # A worker that has died meanwhile is noticed when it is listened to.
            with contextlib.suppress(OSError):
                worker.pipe.send(to_dict(run))

    def _has_room(self) -> bool:
        """Whether a run may be asked for; also where no worker can take it, which is to be said."""
        return (
            not self.workers
            or len(self.workers) < self.num_workers
            or any(worker.run is None for worker in self.workers)
        )

    def _idle_or_new(self, run: Run | None = None) -> Worker | None:
        """A worker without a run; where there is none now, `run` is kept for later."""
        try:
            worker = next((worker for worker in self.workers if worker.run is None), None) or self._start()
        except NoWorker:
            self._keep(run)
            raise
        if worker is None:
            self._keep(run)
        return worker

    def _keep(self, run: Run | None) -> None:
        if run is not None:
            self._again.insert(0, run)

    def _start(self) -> Worker | None:
        """A new worker; None where those that are there must do. Raises NoWorker where none is there."""
        if self._may_not_start():
            if not self.workers:
                raise NoWorker(self._why_dead)
            return None
        index = smallest_free([*(worker.index for worker in self.workers), *self._retired])
        try:
            with self.starting():
                worker = start_worker(index, self.target, self.study, self.settings)
        except OSError as error:
            self._note_failed_start(str(error))
            return self._start()
        self.workers.append(worker)
        return worker

    def _may_not_start(self) -> bool:
        return len(self.workers) >= self.num_workers or self._failed_starts >= FAILED_STARTS

    def collect(self, timeout: float) -> None:
        """Hear what workers have to say, for at most `timeout` seconds if they say nothing, and bury the dead."""
        for pipe in wait([worker.pipe for worker in self.workers], timeout=timeout):
            worker = next((worker for worker in self.workers if worker.pipe is pipe), None)
            if worker is not None:
                self._hear(worker)
        for worker in list(self.workers):
            # Processes that a method has started may keep the pipe open.
            if not worker.process.is_alive() and not worker.pipe.poll():
                self._bury(worker)

    def _hear(self, worker: Worker) -> None:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if isinstance(message, Ready):
            worker.is_ready, self._failed_starts = True, 0
        elif isinstance(message, CannotStart):
            worker.last_words, worker.problem = message.reason, message.problem
        elif isinstance(message, Note):
            self.say(message.line)
        elif isinstance(message, DataRead):
            worker.answer = message
        elif isinstance(message, Ending):
            self._hear_ending(worker, message)
        elif worker.run is not None:
            self.on_epoch(worker.run, message)

    def _hear_ending(self, worker: Worker, ending: Ending) -> None:
        run, worker.run = worker.run, None
        assert run is not None, "only a worker with a run has an ending to tell"
        if ending.outcome in ("done", "failed"):
            self._count_machine_failures(worker, ending)
        if ending.spoils_process:
            self._drop(worker)
            if ending.retryable and self.can_replace and self._returns(run):
                self.say(f"{run.id}: {ending.reason}; tried again in a new process")
                return
        self.on_end(run, ending)

    def _count_machine_failures(self, worker: Worker, ending: Ending) -> None:
        """A worker that only fails would take run after run from those that can compute them."""
        number = self._machine_failures.get(worker.index, 0) + 1 if ending.is_machine else 0
        self._machine_failures[worker.index] = number
        if number < MACHINE_FAILURES:
            return
        self._why_dead = f"{number} runs in a row failed by the fault of the machine: {ending.reason}"
        self._retired.add(worker.index)
        self.num_workers -= 1
        self.say(f"a worker on {socket.gethostname()} takes no more runs: {self._why_dead}")
        self._drop(worker)

    def _drop(self, worker: Worker) -> None:
        """Part with a worker that has no run any more."""
        if worker in self.workers:
            self.workers.remove(worker)
            ask_to_stop([worker])
            end_process(worker.process, 10.0)
            worker.pipe.close()

    def _returns(self, run: Run) -> bool:
        """Have the run given out once more, unless that has been done often enough."""
        self._num_returns[run.id] = self._num_returns.get(run.id, 0) + 1
        if self._is_stopping or self._num_returns[run.id] >= RETURNS:
            return False
        self._again.append(run)
        return True

    def _bury(self, worker: Worker) -> None:
        """A worker has died, or has left after it stopped: close its run's attempt, or give the run to another."""
        worker.process.join()
        self.workers.remove(worker)
        worker.pipe.close()
        cause = worker.last_words or cause_of_death(worker.process.exitcode)
        if not worker.is_ready:
            self._note_failed_start(cause)
        elif not self.can_replace:
            self.num_workers, self._why_dead = 0, f"the worker {cause}"
        if worker.run is None:
            return
        ending = Ending("failed", f"worker {cause}", retryable=True)
        has_begun = close_attempt(Store(self.settings.results), self.study, worker.run, worker.process.pid, ending)
        if not worker.is_ready and self.can_replace and not self._is_stopping:
            self._again.insert(0, worker.run)
        elif has_begun or not self.can_replace or not self._returns(worker.run):
            self.on_end(worker.run, ending)

    def _note_failed_start(self, cause: str) -> None:
        self._failed_starts += 1
        self._why_dead = f"no worker process can be started on {socket.gethostname()}: {cause}"
        if not self.can_replace:
            self.num_workers = 0
        if self._failed_starts == FAILED_STARTS and any(worker.is_ready for worker in self.workers):
            self.num_workers, self._failed_starts = len(self.workers), 0
            self.say(f"{self._why_dead}; going on with {len(self.workers)}")

    def ask_to_stop(self) -> None:
        """Workers stop after their epoch, and then leave; no run is given out once more."""
        self._is_stopping = True
        self._again.clear()
        ask_to_stop(self.workers)

    def shut_down(self) -> None:
        """Ask every worker to stop after its epoch, and wait; a second interrupt ends them at once."""
        self.ask_to_stop()
        wait_for_ends(self.workers)

    def end(self) -> None:
        """Idle workers leave by themselves; those that still compute are killed."""
        self.ask_to_stop()
        for worker in self.workers:
            end_process(worker.process, 10.0 if worker.run is None else 0.0)
        self.workers.clear()


def absolute(settings: Settings) -> Settings:
    """With paths that stay the same where a method changes the working directory."""
    return replace(
        settings,
        results=settings.results.absolute(),
        data_root=None if settings.data_root is None else settings.data_root.expanduser().absolute(),
        plugins=tuple(str(Path(path).absolute()) for path in settings.plugins),
    )
