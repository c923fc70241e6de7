"""One run in several processes of a job: how they find each other, and what the followers do."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

from ..benchmark.launch.worker import run_process
from ..benchmark.runs.run import Run
from ..benchmark.runs.settings import Settings
from ..benchmark.training.own_process import restored_process
from .signals import held_back, leave_to_supervisor

GRACE_SECONDS = 60.0
"""How long a follower waits after an error, which also meets the leader, so that the leader can record it."""


class FollowerFailed(Exception):
    """A process other than the leader failed; SLURM then ends the others too."""


def meet(num_tasks: int) -> int:
    """Set the environment variables by which the processes of this job find each other; returns this one's rank."""
    if num_tasks == 1:
        return 0
    from submitit.helpers import TorchDistributedEnvironment

    # Each process sees all GPUs of its node and takes the one of its local rank.
    environment = TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
    return environment.rank


def follow(study: str, settings: Settings) -> None:
    """Compute what the leader computes until it tells the followers to exit. Raises FollowerFailed."""
    process = multiprocessing.get_context("spawn").Process(target=run_process, args=(follow_in_job, study, settings))
    with held_back():
        process.start()
    process.join()
    if process.exitcode != 0:
        raise FollowerFailed(f"worker ended with exit code {process.exitcode}; its error stands above")


def follow_in_job(study: str, settings: Settings) -> None:
    """What a follower's worker does: compute what the leader computes, and write nothing."""
    leave_to_supervisor()
    from ..benchmark.runs.plugins import add_plugin
    from ..benchmark.training.distributed import joined, next_run

    for path in settings.plugins:
        add_plugin(path)
    folder = Path.cwd()
    with joined(settings.device):
        while (run := next_run()) is not None:
            _compute_along(run, study, settings)
            # Code of a method may have changed it, and the next run's paths may be relative.
            os.chdir(folder)


def _compute_along(run: Run, study: str, settings: Settings) -> None:
    from ..benchmark.training.harness import Interrupted, Watch, execute

    try:
        with restored_process():
            execute(run, study, settings, Watch())
    except Interrupted:
        return
    except Exception:
        time.sleep(GRACE_SECONDS)
        raise
