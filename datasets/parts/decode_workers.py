"""The processes that decode images: how many, and whose signals they answer. Loads no torch."""

from __future__ import annotations

import os
import signal

from ...benchmark.api.errors import UserError

MOST_WORKERS = 16
WORKERS_VARIABLE = "PRUNEBENCH_WORKERS"
RUNS_AT_ONCE = "PRUNEBENCH_RUNS_AT_ONCE"
"""Set for the workers of a launcher: how many of them share the processors."""


def restore_signals(worker: int) -> None:
    """A forked worker inherits the signal handlers of a job launcher, which only the main process must run.

    SIGUSR2 goes to every process of a job that is to stop: a worker would checkpoint and requeue the job once more.
    A handler that lets SIGTERM pass would keep workers alive after their job. torch sets its own handler for SIGTERM
    in workers, but does not promise it.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def num_workers() -> int:
    """$PRUNEBENCH_WORKERS, else this process's share of the processors it may use; 0 decodes in this process.

    An environment variable and no option, because it changes no result.
    """
    setting = os.environ.get(WORKERS_VARIABLE)
    if setting is None:
        share = _processors() // int(os.environ.get(RUNS_AT_ONCE, "1"))
        return min(MOST_WORKERS, max(1, share))
    if not setting.isdecimal():
        raise UserError(f"{WORKERS_VARIABLE} is {setting!r}; it must be a whole number of at least 0")
    return int(setting)


def _processors() -> int:
    """Of this process: SLURM gives each task its own, and may let it see more; elsewhere processes of a node share."""
    seen = len(os.sched_getaffinity(0))
    of_task = os.environ.get("SLURM_CPUS_PER_TASK")
    if of_task is not None:
        return min(seen, int(of_task))
    return seen // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
