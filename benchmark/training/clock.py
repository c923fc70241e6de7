"""Seconds that a training spends on each kind of work."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class Clock:
    """Sums of seconds. `train` contains `masks` and the hooks that are part of `prune`."""

    train: float = 0.0
    evaluate: float = 0.0
    prune: float = 0.0
    masks: float = 0.0

    def measure(self, what: str) -> Measured:
        """Add the time that a `with` block takes to this field."""
        return Measured(self, what)


class Measured:
    """What `Clock.measure` returns. A generator of contextlib takes twice as long, and this runs twice a step."""

    __slots__ = ("begin", "clock", "what")

    def __init__(self, clock: Clock, what: str) -> None:
        self.clock, self.what = clock, what

    def __enter__(self) -> None:
        self.begin = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        setattr(self.clock, self.what, getattr(self.clock, self.what) + time.perf_counter() - self.begin)
