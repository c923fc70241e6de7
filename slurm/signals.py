"""Which process of a job handles which signal.

SLURM sends its warning (SIGUSR2) and SIGTERM to every process of a job step. Only the supervisor acts on them; its
workers ignore both. Processes that workers fork (data loaders) die of SIGTERM as usual: with the workers' handler they
would survive terminate() and keep the allocation.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ..benchmark.launch.worker_process import signals_blocked

WARNING = signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]
"""What the batch script asks SLURM to send before the time limit and before a preemption; submitit chooses it."""

KILL_SECONDS = 600.0
"""SLURM kills the job some time after SIGTERM (KillWait, or a partition's grace time), surely sooner than this."""


@dataclass
class Notice:
    """Which signal told the job to end, if any, and when the workers must have stopped (time.monotonic)."""

    warning_seconds: float
    signal: signal.Signals | None = None
    deadline: float = 0.0

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        if self.signal is None or (self.signal != WARNING and number == WARNING):
            self.signal = signal.Signals(number)
            # The rest of the time is for ending the workers and reaching the controller.
            seconds = self.warning_seconds - min(15.0, self.warning_seconds / 4) if number == WARNING else KILL_SECONDS
            self.deadline = time.monotonic() + seconds


@contextlib.contextmanager
def noticing(notice: Notice) -> Iterator[Callable[[], None]]:
    """Send signals to `notice` instead of submitit's handlers. Yields submitit's handler of the warning: requeue."""
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


def held_back() -> AbstractContextManager[None]:
    """Around the start of a worker: both signals are blocked until it has handlers of its own."""
    return signals_blocked({WARNING, signal.SIGTERM})


def leave_to_supervisor() -> None:
    """For a worker: ignore the signals, which are sent to the whole step; processes it forks get the defaults back."""
    for number in (WARNING, signal.SIGTERM):
        signal.signal(number, _pass_over)
    os.register_at_fork(after_in_child=_as_usual)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {WARNING, signal.SIGTERM})


def _pass_over(number: int, frame: FrameType | None) -> None:
    """Unlike this function, SIG_IGN would be inherited by programs that the worker starts."""


def _as_usual() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(WARNING, signal.SIG_IGN)
