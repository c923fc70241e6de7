"""A pool of worker processes, seen from their parent: starts them, gives them runs, and replaces them when they die.

A worker that dies takes at most one run with it. `run` and SLURM jobs use this pool. Loads no torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from ..runs.run import Run, to_dict
from ..runs.settings import Settings, absolute
from ..runs.store import Store
from .attempt import Ending
from .retries import Retries
from .worker import CannotStart, DataRead, Note, ReadData, Ready, Work, work
from .worker_environment import environment_of_worker
from .worker_limit import NoWorker, WorkerLimit
from .worker_process import (
    Worker,
    ask_to_stop,
    cause_of_death,
    close_attempt,
    end_process,
    start_worker,
    wait_for_ends,
)


@dataclass(kw_only=True)
class WorkerPool:
    """Workers for the runs of a study.

    `on_end(run, ending)` is called with the ending of each run, `on_epoch(run, record)` after every epoch, `say(line)`
    with what happens to workers. `starting` is entered around the start of a process. `can_replace`: whether a dead
    worker may be replaced.
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
    _retries: Retries = field(default_factory=Retries)

    def __post_init__(self) -> None:
        self.settings = absolute(self.settings)
        self._limit = WorkerLimit(number=self.num_workers, can_replace=self.can_replace, say=self.say)

    @property
    def is_busy(self) -> bool:
        """Whether runs are being computed, or wait for another worker."""
        return bool(self._retries) or any(worker.run for worker in self.workers)

    def start_all(self) -> None:
        """Start all workers, which load torch at the same time."""
        while len(self.workers) < self._limit.number and self._start() is not None:
            pass

    def read_data(self, request: ReadData) -> tuple[str, ...]:
        """Let a worker read the data and rehearse the runs; the parent would have to load torch for it.

        Returns warnings. Raises UserError for what the user can fix, NoWorker. If the worker dies of it, the run that
        meets the cause reports it.
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
        while self._retries or self._has_room():
            run = self._retries.take() if self._retries else take()
            if run is None:
                return
            try:
                worker = self._idle_or_new()
            except NoWorker:
                self._retries.put_back(run)
                raise
            if worker is None:
                self._retries.put_back(run)
                return
            worker.run = run
            # A worker that has died meanwhile is found by `collect`.
            with contextlib.suppress(OSError):
                worker.pipe.send(to_dict(run))

    def _has_room(self) -> bool:
        """Whether to ask for a run; also where no worker is left to take it, so that NoWorker is raised."""
        return (
            not self.workers
            or len(self.workers) < self._limit.number
            or any(worker.run is None for worker in self.workers)
        )

    def _idle_or_new(self) -> Worker | None:
        return next((worker for worker in self.workers if worker.run is None), None) or self._start()

    def _start(self) -> Worker | None:
        """A new worker; None where no more may be started. Raises NoWorker where there is no other one either."""
        while self._limit.may_start(self.workers):
            index = self._limit.next_index(self.workers)
            try:
                with self.starting(), environment_of_worker(index, self.num_workers, self.settings) as settings:
                    worker = start_worker(index, self.target, self.study, settings)
            except OSError as error:
                self._limit.note_failed_start(str(error), self.workers)
            else:
                self.workers.append(worker)
                return worker
        return None

    def collect(self, timeout: float) -> None:
        """Receive messages of workers, for at most `timeout` seconds if there are none, and clear away dead workers."""
        for pipe in wait([worker.pipe for worker in self.workers], timeout=timeout):
            worker = next((worker for worker in self.workers if worker.pipe is pipe), None)
            if worker is not None:
                self._receive(worker)
        for worker in list(self.workers):
            # Processes that a method has started may keep the pipe open.
            if not worker.process.is_alive() and not worker.pipe.poll():
                self._bury(worker)

    def _receive(self, worker: Worker) -> None:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if isinstance(message, Ready):
            worker.is_ready = True
            self._limit.note_ready()
        elif isinstance(message, CannotStart):
            worker.last_words, worker.problem = message.reason, message.problem
        elif isinstance(message, Note):
            self.say(message.line)
        elif isinstance(message, DataRead):
            worker.answer = message
        elif isinstance(message, Ending):
            self._receive_ending(worker, message)
        elif worker.run is not None:
            self.on_epoch(worker.run, message)

    def _receive_ending(self, worker: Worker, ending: Ending) -> None:
        run, worker.run = worker.run, None
        assert run is not None, "only a worker with a run sends an ending"
        if ending.outcome in ("done", "failed") and self._limit.is_to_retire(worker, ending):
            self._drop(worker)
        if ending.spoils_process:
            self._drop(worker)
            # Also where the run looks at fault: what it was given by a broken process cannot be told.
            if self.can_replace and self._retries.add(run):
                self.say(f"{run.id}: {ending.reason}; tried again in a new process")
                return
        self.on_end(run, ending)

    def _drop(self, worker: Worker) -> None:
        """End a worker that has no run any more."""
        if worker in self.workers:
            self.workers.remove(worker)
            ask_to_stop([worker])
            end_process(worker.process, 10.0)
            worker.pipe.close()

    def _bury(self, worker: Worker) -> None:
        """Clear away a worker that has died, or has stopped: close its run's attempt, or retry the run."""
        worker.process.join()
        self.workers.remove(worker)
        worker.pipe.close()
        cause = worker.last_words or cause_of_death(worker.process.exitcode)
        if worker.is_ready:
            self._limit.note_death(cause)
        else:
            self._limit.note_failed_start(cause, self.workers)
        if worker.run is not None:
            self._end_or_retry(worker, worker.run, cause)

    def _end_or_retry(self, worker: Worker, run: Run, cause: str) -> None:
        ending = Ending("failed", f"worker {cause}", retryable=True)
        has_begun = close_attempt(Store(self.settings.results), self.study, run, worker.process.pid, ending)
        if not worker.is_ready and self.can_replace and self._retries.put_back(run):
            return
        if has_begun or not self.can_replace or not self._retries.add(run):
            self.on_end(run, ending)

    def ask_to_stop(self) -> None:
        """Ask the workers to stop after their epoch and to leave; no run is retried from here on."""
        self._retries.stop()
        ask_to_stop(self.workers)

    def shut_down(self) -> None:
        """Ask every worker to stop after its epoch, and wait; a second interrupt ends them at once."""
        self.ask_to_stop()
        wait_for_ends(self.workers)

    def end(self) -> None:
        """Let idle workers leave, and kill those that still compute."""
        self.ask_to_stop()
        for worker in self.workers:
            end_process(worker.process, 10.0 if worker.run is None else 0.0)
        self.workers.clear()
