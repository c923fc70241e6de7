"""One worker process as its parent sees it: how it starts, how it ends, and what is left to do after its death."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ..api.errors import UserError
from ..runs.claim import holder
from ..runs.run import Run
from ..runs.settings import Settings
from ..runs.store import Store, now
from .attempt import Ending
from .worker import DataRead, Work, run_process


@dataclass
class Worker:
    """A process. `run`: what it computes, if anything."""

    index: int
    process: Any
    pipe: Connection
    run: Run | None = None
    is_ready: bool = False
    last_words: str = ""
    problem: UserError | None = None
    answer: DataRead | None = None


def start_worker(index: int, target: Work, study: str, settings: Settings) -> Worker:
    """Start a process that does `target`. Raises OSError where the system starts none."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    # Not daemonic: those may have no children, and ImageNet's loader has.
    process = context.Process(target=run_process, args=(target, there, study, settings, index))
    try:
        process.start()
    except OSError:
        here.close()
        raise
    finally:
        there.close()
    return Worker(index, process, here)


def ask_to_stop(workers: Iterable[Worker]) -> None:
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.pipe.send(None)


def wait_for_ends(workers: Sequence[Worker]) -> None:
    """An interrupt meanwhile ends all of them at once, and goes on up."""
    try:
        for worker in workers:
            worker.process.join()
    except KeyboardInterrupt:
        for worker in workers:
            worker.process.terminate()
        raise


def end_process(process: Any, seconds: float) -> None:
    """Wait so long for its end, then kill it."""
    end = time.monotonic() + seconds
    # Not join(timeout), which waits as long for processes that a method has started as for the worker itself.
    while process.is_alive() and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    process.join()


def smallest_free(taken: Iterable[int]) -> int:
    """The number of a new worker, which chooses among several GPUs of the job: that of a dead one comes free again."""
    numbers = set(taken)
    return next(index for index in itertools.count() if index not in numbers)


def cause_of_death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exited with {exit_code}"


def close_attempt(store: Store, study: str, run: Run, pid: int | None, ending: Ending) -> bool:
    """Write the end of an attempt that a dead worker has left open, unless another process has the run by now.

    Returns whether the worker had begun one.
    """
    folder = store.folder(study, run)
    # The disk may be the reason why it died. An attempt that stays open counts as interrupted.
    with contextlib.suppress(OSError, UserError):
        attempts = folder.attempts()
        if not attempts or attempts[-1].get("pid") != pid:
            return False
        if attempts[-1].get("outcome") is None and holder(folder.path) is None:
            ended = {"end": now(), "outcome": ending.outcome, "reason": ending.reason, "retryable": ending.retryable}
            folder.write_attempt(len(attempts), {**attempts[-1], **ended})
    return True
