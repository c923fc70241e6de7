"""One worker process, seen from its parent: start it, end it, and record the end of a dead worker's attempt."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from ..api.errors import UserError
from ..runs.claim import holder
from ..runs.files import now
from ..runs.run import Run
from ..runs.settings import Settings
from ..runs.store import Store
from .attempt import Ending
from .worker import DataRead, Work, run_process


@dataclass
class Worker:
    """A process. `run`: what it computes, if anything. `last_words`: why it could not start."""

    index: int
    process: Any
    pipe: Connection
    run: Run | None = None
    is_ready: bool = False
    last_words: str = ""
    problem: UserError | None = None
    answer: DataRead | None = None


def start_worker(index: int, target: Work, study: str, settings: Settings) -> Worker:
    """Start a process that runs `target`. Raises OSError if the system cannot."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    # Not daemonic: a daemonic process may have no children, and ImageNet's loader starts some.
    process = context.Process(target=run_process, args=(target, there, study, settings, index))
    try:
        process.start()
    except OSError:
        here.close()
        raise
    finally:
        there.close()
    return Worker(index, process, here)


@contextlib.contextmanager
def signals_blocked(numbers: set[signal.Signals]) -> Iterator[None]:
    """Around the start of a worker, which inherits the blocked signals until it has handlers of its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    # Its start unblocks SIGINT and SIGTERM; without this it would start together with the first worker.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ask_to_stop(workers: Iterable[Worker]) -> None:
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.pipe.send(None)


def wait_for_ends(workers: Sequence[Worker]) -> None:
    """Wait until all have ended. An interrupt terminates all of them, and is raised again."""
    try:
        for worker in workers:
            worker.process.join()
    except KeyboardInterrupt:
        for worker in workers:
            worker.process.terminate()
        raise


def end_process(process: Any, seconds: float) -> None:
    """Wait at most so long until it ends, then kill it."""
    end = time.monotonic() + seconds
    # join(timeout) would also wait for processes that a method has started.
    while process.is_alive() and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    process.join()


def smallest_free(taken: Iterable[int]) -> int:
    """The smallest number that is not taken."""
    numbers = set(taken)
    return next(index for index in itertools.count() if index not in numbers)


def cause_of_death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exited with {exit_code}"


def close_attempt(store: Store, study: str, run: Run, pid: int | None, ending: Ending) -> bool:
    """Record the end of an attempt that a dead worker left open, unless another process has the run by now.

    Returns whether the worker had begun an attempt.
    """
    folder = store.folder(study, run)
    # The worker may have died of a full disk. An attempt that stays open counts as interrupted.
    with contextlib.suppress(OSError, UserError):
        attempts = folder.attempts()
        if not attempts or attempts[-1].get("pid") != pid:
            return False
        if attempts[-1].get("outcome") is None and holder(folder.path) is None:
            ended = {"end": now(), "outcome": ending.outcome, "reason": ending.reason, "retryable": ending.retryable}
            folder.write_attempt(len(attempts), {**attempts[-1], **ended})
    return True
