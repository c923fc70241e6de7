"""Workers for the tests of the pool, which load no torch: the name of a run's method says what they do with it."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from typing import Any

from prunebench.benchmark.launch.attempt import Ending
from prunebench.benchmark.launch.worker import CannotStart, Ready
from prunebench.benchmark.runs.run import from_dict
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store

MACHINE = Ending("failed", "node: DataMissing: mnist", retryable=True, is_machine=True)
ASSERTED = Ending("failed", "CUDA error: device-side assert triggered", spoils_process=True)
SPOILED = Ending("failed", "CUDA error: an illegal memory access", retryable=True, spoils_process=True)
FAILING = {"machine": MACHINE, "spoiled": SPOILED, "asserted": ASSERTED}


def works(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    pipe.send(Ready())
    while (task := pipe.recv()) is not None:
        run = from_dict(task)
        folder = Store(settings.results).folder(study, run)
        number = len(folder.attempts()) + 1
        folder.write_attempt(number, {"pid": os.getpid(), "outcome": None})
        ending: Any = FAILING.get(run.method, Ending("done", str(os.getpid())))
        if run.method == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if run.method == "spoiled_once" and number == 1:
            ending = SPOILED
        folder.write_attempt(number, {"pid": os.getpid(), "outcome": ending.outcome})
        pipe.send(ending)
        if ending.spoils_process:
            return


def cannot(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    pipe.send(CannotStart("ImportError: libtorch.so: failed to map segment"))


def dies_early(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    os.kill(os.getpid(), signal.SIGABRT)


def only_the_first_starts(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    if index > 0:
        time.sleep(0.5)
        cannot(pipe, study, settings, index)
        return
    works(pipe, study, settings, index)


def dies_idle(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    """The very first worker dies as soon as it is ready, before it reads its run."""
    mark = settings.results / "died"
    if not mark.exists():
        mark.touch()
        pipe.send(Ready())
        os.kill(os.getpid(), signal.SIGKILL)
    works(pipe, study, settings, index)


def says_environment(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    """Ends its run with its device, its GPU and the number of runs at once as the reason."""
    pipe.send(Ready())
    while pipe.recv() is not None:
        found = [os.environ.get(name, "-") for name in ("CUDA_VISIBLE_DEVICES", "PRUNEBENCH_RUNS_AT_ONCE")]
        time.sleep(0.5)  # so that each worker gets a run
        pipe.send(Ending("done", " ".join([settings.device, *found])))
