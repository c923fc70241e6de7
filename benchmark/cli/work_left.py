"""What `status` adds to the states of runs: which wait for a `run` command, and how long all of it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..launch.estimate import Estimate
from ..launch.time_limit import spelled_duration
from ..runs.store import Store
from ..runs.waiting import Waiting

if TYPE_CHECKING:
    from ...slurm.status import Overview
    from ..studies.plan import Job

NOT_STARTED = ("missing", "interrupted", "blocked")
"""States of files that a `run` command changes: it has the run in its queue."""


def with_waiting(found: Overview, commands: Sequence[Waiting]) -> Overview:
    """The overview with runs that wait in the queue of a living `run` as queued. Parents come first in a plan."""
    states = dict(found.states)
    for job in found.plan.jobs:
        own, parent = states[job.run.id], states.get(job.run.parent.id) if job.run.parent else None
        command = next((command for command in commands if job.run.id in command.run_ids), None)
        if command is None or own.state not in NOT_STARTED or (parent and parent.state == "failed"):
            continue
        states[job.run.id] = replace(own, state="queued", reason=f"waits in the queue of {command.process}", job="")
    return replace(found, states=states)


@dataclass(frozen=True)
class WorkLeft:
    """What is left of a study.

    Attributes:
        runs: number of runs that are counted: those that run or wait, or without any, those that could be computed.
        seconds: of them all, added up; None if no epoch of the study was ever timed.
        longest: seconds of the longest of them.
        workers: processes at work; 0 if there are none.
    """

    runs: int
    seconds: float | None
    longest: float
    workers: int

    @property
    def time_left(self) -> float | None:
        """Seconds until the end with the present workers; None if it is not known or nobody is at work."""
        if self.seconds is None or not self.workers:
            return None
        return max(self.seconds / self.workers, self.longest)

    def line(self) -> str:
        """Empty if nothing is left."""
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        if not self.runs:
            return ""
        if self.seconds is None:
            return f"time left: not known before the first epochs are done ({runs})"
        if self.time_left is None:
            return f"time left: nothing is at work; {runs} take one worker about {spelled_duration(self.seconds)}"
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return f"time left: about {spelled_duration(self.time_left)} for {runs} on {workers}"

    def as_json(self) -> dict[str, Any]:
        return {"runs": self.runs, "workers": self.workers, "work_seconds": self.seconds, "seconds": self.time_left}


def work_left(study: str, found: Overview, store: Store, commands: Sequence[Waiting]) -> WorkLeft:
    """By the missing epochs of each run and the seconds an epoch of runs at work, or else of stored ones."""
    jobs = [job for job in found.plan.jobs if found.states[job.run.id].state != "done"]
    active = [job for job in jobs if found.states[job.run.id].is_active]
    at_work = [job for job in active if found.states[job.run.id].state == "running"]
    counted = active or [job for job in jobs if found.states[job.run.id].can_be_submitted]
    estimate = Estimate(study=study, store=store)
    estimate.learn_stored([job.run for job in found.plan.jobs])
    for job in at_work:
        estimate.learn_running(job.run)
    return _summed(estimate, counted, max(len(at_work), sum(command.num_workers for command in commands)))


def _summed(estimate: Estimate, jobs: Sequence[Job], workers: int) -> WorkLeft:
    needed = [seconds for job in jobs if (seconds := estimate.needed(job.run)) is not None]
    workers = min(workers, len(jobs))
    return WorkLeft(len(jobs), sum(needed) if needed else None, max(needed, default=0.0), workers)
