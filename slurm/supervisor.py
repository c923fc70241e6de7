"""The runs of one job in worker processes: several at once, each failing alone, stopped in time.

The supervisor loads no torch. A worker that dies takes one run with it, and why is known.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from ..benchmark.launch.attempt import Ending
from ..benchmark.launch.pool import WorkerPool
from ..benchmark.launch.worker import work
from ..benchmark.runs.claim import STALE_SECONDS, describe, holder
from ..benchmark.runs.run import Run
from ..benchmark.runs.settings import Settings
from ..benchmark.runs.store import Store
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
    from ..benchmark.training import distributed

    with distributed.joined():
        work(pipe, study, settings, index)
        distributed.announce(None)


@dataclass(kw_only=True)
class Supervisor:
    """Feeds runs to workers until all have ended or a signal came.

    `on_end(run, ending)` hears how each run ended, `on_epoch(run, record)` every epoch, `on_busy(run)` that another
    process holds a run, which is waited for, `say(line)` what happens to workers. `leads`: the worker is the first of
    several processes, which must all be there before one can go, and end together when one has failed.
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
    _waiting: deque[Run] = field(default_factory=deque)
    _busy: list[tuple[float, Run]] = field(default_factory=list)
    _busy_since: dict[str, float] = field(default_factory=dict)

    def compute(self, runs: Sequence[Run]) -> None:
        """Returns when every run has ended, or when the notice came and the workers have stopped.

        Raises NoWorker where runs are left that no worker can take.
        """
        self._waiting.extend(runs)
        pool = WorkerPool(
            study=self.study, settings=self.settings, num_workers=self.num_workers, on_end=self._end,
            on_epoch=self.on_epoch, say=self.say, target=work_in_job, starting=held_back, can_replace=not self.leads,
        )  # fmt: skip
        if self.leads:
            pool.start_all()
        try:
            while (self._waiting or self._busy or pool.is_busy) and self.notice.signal is None:
                pool.assign(self._take)
                pool.collect(POLL_SECONDS)
            pool.ask_to_stop()
            while pool.is_busy and time.monotonic() < self.notice.deadline:
                pool.collect(POLL_SECONDS)
        finally:
            pool.end()

    def _take(self) -> Run | None:
        current = time.monotonic()
        self._waiting.extend(run for due, run in self._busy if due <= current)
        self._busy = [(due, run) for due, run in self._busy if due > current]
        return self._waiting.popleft() if self._waiting else None

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


def forget_earlier_start(store: Store, study: str, run: Run) -> None:
    """Take away the claim of this job's own earlier start, which SLURM has ended: on another node it looks alive."""
    folder = store.folder(study, run).path
    job = os.environ.get("SLURM_JOB_ID")
    if job and (holder(folder) or {}).get("slurm_job") == job:
        (folder / "claim.json").unlink(missing_ok=True)
