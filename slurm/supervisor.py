"""The runs of one job in worker processes: several at once, each failing alone, stopped in time.

The supervisor loads no torch. A worker that dies takes one run with it, and why is known.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from ..benchmark.attempt import Ending
from ..benchmark.claim import STALE_SECONDS, describe, holder
from ..benchmark.local import work
from ..benchmark.run import Run, to_dict
from ..benchmark.settings import Settings
from ..benchmark.store import Store, now
from .signals import Notice, held_back, leave_to_supervisor

POLL_SECONDS = 1.0
BUSY_POLL_SECONDS = 5.0
BUSY_SECONDS = STALE_SECONDS + 60.0
"""How long a run is waited for that another process holds: a dead one has lost its claim by then."""


def work_in_job(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    """The life of a worker: the local launcher's, with signals left to the supervisor."""
    leave_to_supervisor()
    if os.environ.get("WORLD_SIZE", "1") == "1":
        work(pipe, study, settings, index)
        return
    from ..benchmark import distributed

    with distributed.joined():
        work(pipe, study, settings, index)
        distributed.announce(None)


@dataclass
class _Worker:
    index: int
    process: Any
    pipe: Connection
    run: Run | None = None


@dataclass(kw_only=True)
class Supervisor:
    """Feeds runs to workers until all have ended or a signal came.

    `on_end(run, ending)` hears how each run ended, `on_epoch(run, record)` every epoch, `on_busy(run)` that another
    process holds a run, which is waited for. `leads`: the worker is the
    first of several processes, which must all be there before one can go, and end together when one has failed.
    """

    study: str
    settings: Settings
    num_workers: int
    notice: Notice
    on_end: Callable[[Run, Ending], None]
    on_epoch: Callable[[Run, dict[str, Any]], None]
    on_busy: Callable[[Run], None] = lambda run: None
    leads: bool = False
    _workers: list[_Worker] = field(default_factory=list)
    _waiting: deque[Run] = field(default_factory=deque)
    _busy: list[tuple[float, Run]] = field(default_factory=list)
    _busy_since: dict[str, float] = field(default_factory=dict)

    def compute(self, runs: Sequence[Run]) -> None:
        """Returns when every run has ended, or when the notice came and the workers have stopped."""
        self._waiting.extend(runs)
        if self.leads:
            self._start()
        try:
            while self._is_open() and self.notice.signal is None:
                self._assign()
                self._collect(POLL_SECONDS)
            self._ask_to_stop()
            while any(worker.run for worker in self._workers) and time.monotonic() < self.notice.deadline:
                self._collect(POLL_SECONDS)
        finally:
            self._end_workers()

    def _is_open(self) -> bool:
        return bool(self._waiting or self._busy or any(worker.run for worker in self._workers))

    def _assign(self) -> None:
        """Give every idle worker a run; start workers as long as there are runs without one."""
        current = time.monotonic()
        self._waiting.extend(run for due, run in self._busy if due <= current)
        self._busy = [(due, run) for due, run in self._busy if due > current]
        while self._waiting:
            worker = next((worker for worker in self._workers if worker.run is None), None)
            if worker is None:
                if len(self._workers) >= self.num_workers:
                    return
                worker = self._start()
            worker.run = self._waiting.popleft()
            # A worker that has died meanwhile is noticed when it is listened to.
            with contextlib.suppress(OSError):
                worker.pipe.send(to_dict(worker.run))

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        index = smallest_free(worker.index for worker in self._workers)
        # Not daemonic: a run may start loaders of data of its own.
        process = context.Process(target=work_in_job, args=(there, self.study, self.settings, index))
        with held_back():
            process.start()
        there.close()
        worker = _Worker(index, process, here)
        self._workers.append(worker)
        return worker

    def _collect(self, timeout: float) -> None:
        if not self._workers:
            time.sleep(timeout)
            return
        for pipe in wait([worker.pipe for worker in self._workers], timeout=timeout):
            worker = next(worker for worker in self._workers if worker.pipe is pipe)
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            assert worker.run is not None, "only a worker with a run has something to say"
            if isinstance(message, Ending):
                run, worker.run = worker.run, None
                self._end(run, message)
            else:
                self.on_epoch(worker.run, message)

    def _end(self, run: Run, ending: Ending) -> None:
        if self.leads and (ending.outcome == "failed" or ending.reason):
            # The other processes wait for this one in the middle of the run; nothing more can be computed with them.
            self._waiting.clear()
        if ending.outcome == "busy" and not ending.reason:
            current = time.monotonic()
            if run.id not in self._busy_since:
                self.on_busy(run)
            if current - self._busy_since.setdefault(run.id, current) < BUSY_SECONDS:
                self._busy.append((current + BUSY_POLL_SECONDS, run))
                return
            held = holder(Store(self.settings.results).folder(self.study, run).path)
            ending = Ending("busy", f"another process computes it: {describe(held or {})}", retryable=True)
        self.on_end(run, ending)

    def _bury(self, worker: _Worker) -> None:
        """A worker has died, or has left after it stopped: say so for its run, and close the run's attempt."""
        worker.process.join()
        self._workers.remove(worker)
        if worker.run is None:
            return
        ending = Ending("failed", f"worker {cause_of_death(worker.process.exitcode)}", retryable=True)
        close_attempt(Store(self.settings.results), self.study, worker.run, worker.process.pid, ending)
        self._end(worker.run, ending)

    def _ask_to_stop(self) -> None:
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.pipe.send(None)

    def _end_workers(self) -> None:
        """Idle workers leave by themselves; those that still compute are past the deadline."""
        for worker in self._workers:
            if worker.run is None:
                worker.process.join(timeout=10.0)
            worker.process.kill()
            worker.process.join()
        self._workers.clear()


def smallest_free(taken: Iterable[int]) -> int:
    """The number of a new worker, which chooses among several GPUs of the job: that of a dead one comes free again."""
    numbers = set(taken)
    return next(index for index in itertools.count() if index not in numbers)


def cause_of_death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exited with {exit_code}"


def close_attempt(store: Store, study: str, run: Run, pid: int | None, ending: Ending) -> None:
    """Write the end of an attempt that a dead worker has left open, unless another process has the run by now."""
    folder = store.folder(study, run)
    attempts = folder.attempts() if holder(folder.path) is None else []
    if attempts and attempts[-1].get("outcome") is None and attempts[-1].get("pid") == pid:
        ended = {"end": now(), "outcome": ending.outcome, "reason": ending.reason, "retryable": ending.retryable}
        # The disk may be the reason why it died.
        with contextlib.suppress(OSError):
            folder.write_attempt(len(attempts), {**attempts[-1], **ended})


def forget_earlier_start(store: Store, study: str, run: Run) -> None:
    """Take away the claim of this job's own earlier start, which SLURM has ended: on another node it looks alive."""
    folder = store.folder(study, run).path
    job = os.environ.get("SLURM_JOB_ID")
    if job and (holder(folder) or {}).get("slurm_job") == job:
        (folder / "claim.json").unlink(missing_ok=True)
