"""A queue of jobs that never start, in place of SLURM: for tests of what the commands do with their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prunebench.slurm import cancel, sbatch, squeue, submit
from prunebench.slurm.job_arrays import Limits
from prunebench.slurm.squeue import Queued


@dataclass
class SimulatedQueue:
    """`jobs` as `ask_queue` returns them; `scancel` removes arrays and single jobs."""

    jobs: dict[str, Queued] = field(default_factory=dict)
    arrays: int = 0

    def send(self, folder: Path, jobs: Sequence[Any], profile: Any, name: str, after: Any, say: Any) -> str:
        self.arrays += 1
        self.jobs |= {f"{self.arrays}_{index}": Queued("PENDING", "", name) for index in range(len(jobs))}
        folder.mkdir()
        return str(self.arrays)

    def call(self, command: Sequence[str]) -> str:
        assert command[0] == "scancel"
        gone = [job for job in self.jobs if job in command or job.split("_")[0] in command]
        for job in gone:
            del self.jobs[job]
        return ""


def simulate(monkeypatch: pytest.MonkeyPatch) -> SimulatedQueue:
    queue = SimulatedQueue()
    # Modules, not their names: one that is loaded while `squeue` is replaced would keep the replacement.
    for module in (squeue, cancel):
        monkeypatch.setattr(module, "ask_queue", lambda: dict(queue.jobs))
    for module in (submit, cancel):
        monkeypatch.setattr(module, "call", queue.call)
    monkeypatch.setattr(squeue, "ask_accounting", lambda jobs: {})
    monkeypatch.setattr(sbatch, "send", queue.send)
    limits = Limits(runs_per_job=1, max_array_size=1000)
    monkeypatch.setattr(submit, "_limits", lambda profile: limits)
    return queue
