"""The time limit of `run`: estimates which runs can be finished from the seconds that other runs took."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..api.errors import UserError
from ..runs.run import Run
from ..runs.store import Store
from ..studies.run_cost import run_cost

UNITS = (3600, 60, 1)
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(text: str) -> int:
    """Seconds of `150m`, `2h30m`, `45s`. Raises UserError."""
    match = _DURATION.fullmatch(text.strip().lower())
    parts = match.groups(default="0") if match else ()
    seconds = sum(int(part) * unit for part, unit in zip(parts, UNITS, strict=False))
    if not 0 < seconds <= 10**9:
        raise UserError(f"--time-limit {text!r} is no time; give hours, minutes or seconds: 150m, 2h30m, 45s")
    return seconds


def spelled_duration(seconds: float) -> str:
    """`2h30m`, `45s`; seconds only below a minute."""
    if seconds < 60:
        return f"{max(1, round(seconds))}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}h{minutes}m" if hours and minutes else f"{hours}h" if hours else f"{minutes}m"


@dataclass
class Speeds:
    """Seconds an epoch by method. A run without epochs counts as one epoch."""

    _sums: dict[str, tuple[float, int]] = field(default_factory=dict)

    def learn(self, run: Run, result: Mapping[str, Any]) -> None:
        seconds, epochs = self._sums.get(run.method, (0.0, 0))
        cost = result["cost"]
        self._sums[run.method] = seconds + cost["seconds"], epochs + max(1, cost["epochs"])

    def of(self, method: str) -> float | None:
        seconds, epochs = self._sums.get(method, (0.0, 0))
        return seconds / epochs if epochs else None

    def of_all(self) -> float | None:
        epochs = sum(epochs for _, epochs in self._sums.values())
        return sum(seconds for seconds, _ in self._sums.values()) / epochs if epochs else None


@dataclass
class TimeLimit:
    """The limit of one command. Estimates prefer runs of this command to stored ones, of any machine."""

    seconds: float
    study: str
    store: Store
    _begin: float = field(default_factory=time.monotonic)
    _stored: Speeds = field(default_factory=Speeds)
    _own: Speeds = field(default_factory=Speeds)

    def learn_stored(self, runs: Sequence[Run]) -> None:
        """Use the times of those of these runs that are stored."""
        for run in runs:
            if (result := self.store.result(self.study, run)) is not None:
                self._stored.learn(run, result)

    def learn(self, run: Run) -> None:
        """Use the time of a run that was just computed."""
        result = self.store.result(self.study, run)
        if result is not None:
            self._own.learn(run, result)

    def is_over(self) -> bool:
        return self.left() <= 0

    def left(self) -> float:
        """Seconds."""
        return self._begin + self.seconds - time.monotonic()

    def can_finish(self, run: Run) -> bool:
        """Whether the run would end in time; true if no run of the study is stored."""
        return self.left() > (self.needed(run) or 0.0)

    def needed(self, run: Run) -> float | None:
        """Seconds for the missing epochs, by the method's mean or the mean of all methods; None if there is neither."""
        method = run.method
        speed = self._own.of(method) or self._stored.of(method) or self._own.of_all() or self._stored.of_all()
        return None if speed is None else speed * self._missing_epochs(run)

    def _missing_epochs(self, run: Run) -> int:
        epochs = run_cost(run).epochs
        total = run.recipe.trained_epochs if epochs is None else epochs
        return max(1, total - len(self.store.folder(self.study, run).history()))

    def left_line(self, runs: Sequence[Run]) -> str:
        """A line about the runs that are left: how many, how long they take, and how many exceed the whole limit."""
        needed = [seconds for run in runs if (seconds := self.needed(run)) is not None]
        about = f", the longest needs about {spelled_duration(max(needed))}" if needed else ""
        too_long = sum(seconds >= self.seconds for seconds in needed)
        never = f" (longer than the whole limit: {too_long})" if too_long else ""
        return f"time limit of {spelled_duration(self.seconds)}: {len(runs)} left{about}{never}"
