"""What a job writes about itself while it runs: its starts, the outcome of each run, and how the job ended."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ..benchmark.api.errors import Damaged
from ..benchmark.launch.attempt import Ending
from ..benchmark.runs.damage import set_aside
from ..benchmark.runs.files import now
from ..benchmark.runs.provenance import revision
from ..benchmark.runs.run import Run
from .submission import TaskRecord, read_task_record, write_task_record


class RunsFailed(Exception):
    """Some runs of the job failed; each has its own record."""


class MachineFailed(Exception):
    """The machine cannot compute the remaining runs; `submit` takes them again."""


class RequeuedTooOften(Exception):
    """The job was requeued more often than the profile allows."""


def say(message: str) -> None:
    """Print a line to the job's log."""
    print(f"prunebench: {message}", flush=True)


@dataclass
class JobRecord:
    """The record of one job, which only this job writes. `max_requeues`: from the profile."""

    path: Path
    max_requeues: int
    content: TaskRecord = field(default_factory=TaskRecord)

    @property
    def num_requeues(self) -> int:
        return max(self.content.requeues, int(os.environ.get("SLURM_RESTART_COUNT") or 0))

    def outcome_of(self, run: Run) -> str | None:
        return self.content.outcomes.get(run.id, {}).get("outcome")

    def note_start(self, code: str, *, code_changed: bool) -> None:
        """Add this start to those of earlier starts of the job. `code`: the digest of the code that is loaded now."""
        self.content = self._earlier()
        self.content.end = None
        self.content.starts.append(
            {
                "job": _job_name(), "raw": os.environ.get("SLURM_JOB_ID", ""), "host": socket.gethostname(),
                "begin": now(), "revision": revision(), "code": code, "code_changed": code_changed,
            }
        )  # fmt: skip
        self.write()

    def _earlier(self) -> TaskRecord:
        """What earlier starts wrote; a damaged record is set aside."""
        try:
            return read_task_record(self.path)
        except Damaged as error:
            try:
                say(set_aside(error, "the job goes on with an empty one"))
            except OSError as other:
                say(f"{error}; it cannot be set aside: {other}")
            return TaskRecord()

    def note_end(self, run: Run, ending: Ending, outcome: str = "") -> None:
        """Record how a run ended. `outcome`: in place of the ending's own."""
        outcome = outcome or ending.outcome
        say(f"{run.id} {run.method} {run.sparsity:g} seed {run.seed}: {outcome} {ending.reason}".rstrip())
        self.content.outcomes[run.id] = {"outcome": outcome, "reason": ending.reason}
        self.write()

    def forget(self, run: Run) -> None:
        """Drop the outcome of an earlier start, which must not stand in for this one's if this one is killed."""
        self.content.outcomes.pop(run.id, None)

    def write(self) -> None:
        """Only `status` needs the record, so a full or read-only disk does not fail the job."""
        try:
            write_task_record(self.path, self.content)
        except OSError as error:
            say(f"cannot write {self.path}: {error}")

    def give_up(self) -> NoReturn:
        """End the job after too many requeues. Raises RequeuedTooOften."""
        self.content.ending = f"requeued {self.num_requeues} times, the profile's max_requeues; submit it again"
        self.write()
        raise RequeuedTooOften(self.content.ending)

    def stop(self, reason: str) -> NoReturn:
        """End the job and leave the remaining runs to another machine. Raises MachineFailed."""
        self.content.ending = reason
        self.content.end = now()
        self.write()
        raise MachineFailed(reason)

    def finish(self, runs: Sequence[Run]) -> dict[str, str]:
        """End the job; returns the outcomes by run id. Raises RunsFailed."""
        self.content.end = now()
        self.write()
        outcomes = {run.id: self.outcome_of(run) or "" for run in runs}
        failed = [run_id for run_id, outcome in outcomes.items() if outcome == "failed"]
        if failed:
            raise RunsFailed(f"{len(failed)} of {len(outcomes)} runs failed: {', '.join(failed)}")
        return outcomes


def _job_name() -> str:
    from submitit import JobEnvironment

    with contextlib.suppress(RuntimeError, KeyError):
        return JobEnvironment().job_id
    return ""
