"""Runs that are given to another worker because theirs could not compute them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..runs.run import Run

MAX_RETRIES = 2
"""A run fails when so many workers died before it began or could not go on after it."""


@dataclass
class Retries:
    """Runs that wait for another worker. After `stop` no run is added."""

    _waiting: list[Run] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)
    _is_stopped: bool = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self) -> Run:
        return self._waiting.pop(0)

    def add(self, run: Run) -> bool:
        """Add a run unless it had another worker often enough; returns whether it was added."""
        self._counts[run.id] = self._counts.get(run.id, 0) + 1
        if self._is_stopped or self._counts[run.id] >= MAX_RETRIES:
            return False
        self._waiting.append(run)
        return True

    def put_back(self, run: Run) -> bool:
        """Add a run that its worker never saw: it comes first, and this does not count; false after `stop`."""
        if self._is_stopped:
            return False
        self._waiting.insert(0, run)
        return True

    def stop(self) -> None:
        self._is_stopped = True
        self._waiting.clear()
