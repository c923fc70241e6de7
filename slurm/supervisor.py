"""Computes the runs of one job in worker processes, and stops them in time. Loads no torch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from ..benchmark.launch.attempt import Ending
from ..benchmark.launch.pool import WorkerPool
from ..benchmark.launch.run_queue import RunQueue
from ..benchmark.launch.worker import work
from ..benchmark.runs.claim import STALE_SECONDS, describe, holder
from ..benchmark.runs.run import Run
from ..benchmark.runs.settings import Settings
from ..benchmark.runs.store import Store
from .signals import Notice, held_back, leave_to_supervisor

POLL_SECONDS = 1.0
BUSY_POLL_SECONDS = 5.0
BUSY_SECONDS = STALE_SECONDS + 60.0
"""How long to wait for a run that another process has; if that process is dead, its claim has expired by then."""


def work_in_job(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    """What a worker of a job does: the same as a local worker, but signals are left to the supervisor."""
    leave_to_supervisor()
    if os.environ.get("WORLD_SIZE", "1") == "1":
        work(pipe, study, settings, index)
        return
    from ..benchmark.training import distributed

    with distributed.joined(settings.device):
        work(pipe, study, settings, index)
        distributed.announce(None)


@dataclass(kw_only=True)
class Supervisor:
    """Gives runs to workers until all have ended or a signal came.

    `on_end(run, ending)` is called with the ending of each run, `on_epoch(run, record)` after every epoch,
    `on_busy(run)` once if another process has a run, `say(line)` with what happens to workers. `leads`: the worker is
    the first of several processes, which all must be started before a run begins, and end together when one failed.
    """

    study: str
    settings: Settings
    num_workers: int
    notice: Notice
    on_end: Callable[[Run, Ending], None]
    on_epoch: Callable[[Run, dict[str, Any]], None]
    say: Callable[[str], None] = lambda line: None
    on_busy: Callable[[Run], None] = lambda run: None
    leads: bool = False
    _queue: RunQueue = field(default_factory=RunQueue)
    _busy_since: dict[str, float] = field(default_factory=dict)

    def compute(self, runs: Sequence[Run]) -> None:
        """Returns when every run has ended, or when a signal came and the workers have stopped.

        Raises NoWorker if runs are left that no worker can compute.
        """
        self._queue.ready.extend(runs)
        pool = WorkerPool(
            study=self.study, settings=self.settings, num_workers=self.num_workers, on_end=self._end,
            on_epoch=self.on_epoch, say=self.say, target=work_in_job, starting=held_back, can_replace=not self.leads,
        )  # fmt: skip
        if self.leads:
            pool.start_all()
        try:
            while (pool.is_busy or not self._queue.is_empty()) and self.notice.signal is None:
                pool.assign(self._queue.take)
                pool.collect(POLL_SECONDS)
            pool.ask_to_stop()
            while pool.is_busy and time.monotonic() < self.notice.deadline:
                pool.collect(POLL_SECONDS)
        finally:
            pool.end()

    def _end(self, run: Run, ending: Ending) -> None:
        if self.leads and (ending.outcome == "failed" or ending.reason):
            # The other processes wait for this one in the middle of the run, so they can compute nothing more.
            self._queue.ready.clear()
        if ending.outcome == "busy" and not ending.reason:
            current = time.monotonic()
            if run.id not in self._busy_since:
                self.on_busy(run)
            if current - self._busy_since.setdefault(run.id, current) < BUSY_SECONDS:
                self._queue.hold(run, BUSY_POLL_SECONDS)
                return
            held = holder(Store(self.settings.results).folder(self.study, run).path)
            ending = Ending("busy", f"another process computes it: {describe(held or {})}", retryable=True)
        self.on_end(run, ending)


def forget_earlier_start(store: Store, study: str, run: Run) -> None:
    """Remove the claim of an earlier start of this job, which SLURM has ended: from another node it looks alive."""
    folder = store.folder(study, run).path
    job = os.environ.get("SLURM_JOB_ID")
    if job and (holder(folder) or {}).get("slurm_job") == job:
        (folder / "claim.json").unlink(missing_ok=True)
