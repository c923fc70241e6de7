"""Who reacts to which signal inside a job.

SLURM sends its warning (SIGUSR2) and SIGTERM to every process of a job step. Only the supervisor decides; its workers
leave both alone, and what the workers fork (loaders of data) dies of SIGTERM as usual: a process that inherited a
handler which swallows SIGTERM survives terminate() and keeps the allocation.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

WARNING = signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]
"""submitit's name for it: what the batch script asks SLURM to send before the time limit and before a preemption."""

KILL_SECONDS = 600.0
"""After SIGTERM SLURM kills by itself, after KillWait or a partition's grace time; nobody grants more than this."""


@dataclass
class Notice:
    """That the job must leave: which signal came first, and when the workers must have stopped (time.monotonic)."""

    warning_seconds: float
    signal: signal.Signals | None = None
    deadline: float = 0.0

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        if self.signal is None or (self.signal != WARNING and number == WARNING):
            self.signal = signal.Signals(number)
            # Some of the time of the warning is needed to end the workers and to reach the controller.
            seconds = self.warning_seconds - min(15.0, self.warning_seconds / 4) if number == WARNING else KILL_SECONDS
            self.deadline = time.monotonic() + seconds


@contextlib.contextmanager
def noticing(notice: Notice) -> Iterator[Callable[[], None]]:
    """Signals go to `notice` instead of submitit's handlers. Yields submitit's reaction to the warning: requeue."""
    before = {number: signal.signal(number, notice.receive) for number in (WARNING, signal.SIGTERM)}

    def requeue() -> None:
        handler: Any = before[WARNING]
        if callable(handler):
            handler(WARNING, None)

    try:
        yield requeue
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Block both signals while a worker is started: it inherits that until it has handlers of its own."""
    both = {WARNING, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, both)
    # Started with the first worker, it unblocks SIGTERM behind our back; so it is started before, and blocked again.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_to_supervisor() -> None:
    """For a worker: signals to the whole step are not its own, and must not reach what it forks either."""
    for number in (WARNING, signal.SIGTERM):
        signal.signal(number, _pass_over)
    os.register_at_fork(after_in_child=_as_usual)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {WARNING, signal.SIGTERM})


def _pass_over(number: int, frame: FrameType | None) -> None:
    """Not SIG_IGN: that would be inherited by programs which the worker starts."""


def _as_usual() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(WARNING, signal.SIG_IGN)
