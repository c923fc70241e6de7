"""Seconds that a training spends on each kind of work."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import torch


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

    def add(self, what: str, seconds: float) -> None:
        setattr(self, what, getattr(self, what) + seconds)

    def seconds(self) -> dict[str, float]:
        """All sums; on a GPU this waits for the work that was measured."""
        return asdict(self)

    def restore(self, seconds: dict[str, float]) -> None:
        """Go on from sums that `seconds` gave."""
        vars(self).update(seconds)


class Measured:
    """What `Clock.measure` returns. A generator of contextlib takes twice as long, and this runs twice a step."""

    __slots__ = ("begin", "clock", "what")

    def __init__(self, clock: Clock, what: str) -> None:
        self.clock, self.what = clock, what

    def __enter__(self) -> None:
        self.begin: Any = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.clock.add(self.what, time.perf_counter() - self.begin)


def clock_for(device: torch.device) -> Clock:
    return GpuClock() if device.type == "cuda" else Clock()


class GpuClock(Clock):
    """Takes the time where the GPU begins and ends a block's work, which the host has only queued by then.

    It waits for nothing: finished events are read when a later block begins. A block in which the GPU idles, because
    the host reads data for it, counts whole. What is captured into a CUDA graph is not timed: it runs later.
    """

    def __init__(self) -> None:
        super().__init__()
        self._unread: deque[tuple[str, Any, Any]] = deque()
        self._spare: list[Any] = []

    def measure(self, what: str) -> Measured:
        return MeasuredOnGpu(self, what)

    def event(self) -> Any:
        """An event that is recorded now on the current stream."""
        event = self._spare.pop() if self._spare else torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def note(self, what: str, begin: Any, end: Any) -> None:
        self._unread.append((what, begin, end))
        while self._unread and self._unread[0][2].query():
            self._read()

    def restore(self, seconds: dict[str, float]) -> None:
        self._unread.clear()  # what was measured before is replaced too
        super().restore(seconds)

    def _read(self) -> None:
        what, begin, end = self._unread.popleft()
        self.add(what, begin.elapsed_time(end) / 1000)
        self._spare += [begin, end]

    def seconds(self) -> dict[str, float]:
        if self._unread:
            self._unread[-1][2].synchronize()
        while self._unread:
            self._read()
        return super().seconds()


class MeasuredOnGpu(Measured):
    """The same by events of a GPU."""

    __slots__ = ()
    clock: GpuClock

    def __enter__(self) -> None:
        self.begin: Any = None if torch.cuda.is_current_stream_capturing() else self.clock.event()

    def __exit__(self, *exception: object) -> None:
        if self.begin is not None:
            self.clock.note(self.what, self.begin, self.clock.event())
