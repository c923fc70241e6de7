"""The order in which runs start: after their dense training, long ones first, and later if another process has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..runs.run import Run
from ..studies.plan import Job
from ..studies.run_cost import planned_epochs

Fits = Callable[[Run], bool]
"""Whether there is time to finish a run."""


@dataclass
class RunQueue:
    """Runs that wait for a worker (`ready`), a dense training (`blocked`, by its id), or another process."""

    ready: list[Run] = field(default_factory=list)
    blocked: dict[str, list[Run]] = field(default_factory=dict)
    _held: list[tuple[float, Run]] = field(default_factory=list)

    def take(self, fits: Fits = lambda run: True) -> Run | None:
        """The next run that can start and fits; None if there is none now."""
        current = time.monotonic()
        for entry in self._held:
            if entry[0] <= current and fits(entry[1]):
                self._held.remove(entry)
                return entry[1]
        index = next((index for index, run in enumerate(self.ready) if fits(run)), None)
        return None if index is None else self.ready.pop(index)

    def can_start_any(self, fits: Fits) -> bool:
        """Whether a run that fits waits, also if another process still has it."""
        return any(fits(run) for run in (*self.ready, *(run for _, run in self._held)))

    def release(self, runs: Iterable[Run]) -> None:
        """Runs whose dense training is done: after those that others wait for, and longest first."""
        self.ready = sorted([*self.ready, *runs], key=lambda run: (run.id not in self.blocked, -planned_epochs(run)))

    def hold(self, run: Run, seconds: float) -> None:
        """Another process has the run: `take` returns it again after some time."""
        self._held.append((time.monotonic() + seconds, run))

    def is_empty(self) -> bool:
        return not (self.ready or self._held or self.blocked)


def make_queue(jobs: Sequence[Job]) -> RunQueue:
    """What many runs wait for comes first, then long runs, so that no worker ends up alone with one."""
    open_ids = {job.run.id for job in jobs}
    ordered = sorted(jobs, key=lambda job: (-job.wanted_by, -planned_epochs(job.run)))
    queue = RunQueue()
    for job in ordered:
        parent = job.run.parent
        if parent is not None and parent.id in open_ids:
            queue.blocked.setdefault(parent.id, []).append(job.run)
        else:
            queue.ready.append(job.run)
    return queue
