"""The time limit of `run`: which runs can be finished within it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..api.errors import UserError
from ..runs.run import Run
from .durations import seconds_of
from .estimate import Estimate


def parse_duration(text: str) -> int:
    """Seconds of a limit, as `seconds_of` reads it. Raises UserError."""
    with contextlib.suppress(ValueError):
        if 0 < (seconds := seconds_of(text.lower())) <= 10**9:
            return seconds
    raise UserError(f"--time-limit {text!r} is no time; give one such as 45s, 150m, 2h30m, 1d12h or 04:00:00")


def spelled_duration(seconds: float) -> str:
    """`2h30m`, `45s`; seconds only below a minute."""
    if seconds < 60:
        return f"{max(1, round(seconds))}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}h{minutes}m" if hours and minutes else f"{hours}h" if hours else f"{minutes}m"


@dataclass(kw_only=True)
class TimeLimit(Estimate):
    """The limit of one command. Estimates prefer runs of this command to stored ones, of any machine."""

    seconds: float
    begin: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        return self.left() <= 0

    def left(self) -> float:
        """Seconds."""
        return self.begin + self.seconds - time.monotonic()

    def can_finish(self, run: Run) -> bool:
        """Whether the run would end in time; true if no run of the study is stored."""
        return self.left() > (self.needed(run) or 0.0)

    def left_line(self, runs: Sequence[Run]) -> str:
        """A line about the runs that are left: how many, how long they take, and how many exceed the whole limit."""
        needed = [seconds for run in runs if (seconds := self.needed(run)) is not None]
        about = f", the longest needs about {spelled_duration(max(needed))}" if needed else ""
        too_long = sum(seconds >= self.seconds for seconds in needed)
        never = f" (longer than the whole limit: {too_long})" if too_long else ""
        return f"time limit of {spelled_duration(self.seconds)}: {len(runs)} left{about}{never}"
