"""How long runs take, from the seconds an epoch that other runs of the study took. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..runs.run import Run
from ..runs.store import Store
from ..studies.run_cost import run_cost


@dataclass
class Speeds:
    """Seconds an epoch by method. A run without epochs counts as one epoch."""

    _sums: dict[str, tuple[float, int]] = field(default_factory=dict)

    def learn(self, method: str, seconds: float, epochs: int) -> None:
        before, known = self._sums.get(method, (0.0, 0))
        self._sums[method] = before + seconds, known + max(1, epochs)

    def of(self, method: str) -> float | None:
        seconds, epochs = self._sums.get(method, (0.0, 0))
        return seconds / epochs if epochs else None

    def of_all(self) -> float | None:
        epochs = sum(epochs for _, epochs in self._sums.values())
        return sum(seconds for seconds, _ in self._sums.values()) / epochs if epochs else None


@dataclass(kw_only=True)
class Estimate:
    """Seconds that runs of a study need. Runs that are at work now count before stored ones, of any machine."""

    study: str
    store: Store
    _stored: Speeds = field(default_factory=Speeds)
    _own: Speeds = field(default_factory=Speeds)

    def learn_stored(self, runs: Sequence[Run]) -> None:
        """Use the times of those of these runs that are stored."""
        for run in runs:
            self._learn(run, self._stored)

    def learn(self, run: Run) -> None:
        """Use the time of a run that was just computed."""
        self._learn(run, self._own)

    def learn_running(self, run: Run) -> None:
        """Use the epochs that a run has done, if it is in its first attempt: epochs do not say when they ended."""
        folder = self.store.folder(self.study, run)
        attempts, epochs = folder.attempts(), len(folder.history())
        if len(attempts) == 1 and epochs and "begin" in attempts[0]:
            self._own.learn(run.method, folder.history_path.stat().st_mtime - attempts[0]["begin"], epochs)

    def needed(self, run: Run) -> float | None:
        """Seconds for the missing epochs, by the method's mean or the mean of all methods; None if there is neither."""
        method = run.method
        speed = self._own.of(method) or self._stored.of(method) or self._own.of_all() or self._stored.of_all()
        return None if speed is None else speed * self._missing_epochs(run)

    def _learn(self, run: Run, speeds: Speeds) -> None:
        result: Any = self.store.result(self.study, run)
        if result is not None:
            speeds.learn(run.method, result["cost"]["seconds"], result["cost"]["epochs"])

    def _missing_epochs(self, run: Run) -> int:
        epochs = run_cost(run).epochs
        total = run.recipe.trained_epochs if epochs is None else epochs
        return max(1, total - len(self.store.folder(self.study, run).history()))
