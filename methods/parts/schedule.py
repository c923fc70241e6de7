"""How sparsity rises: pure functions from progress to sparsity, and the steps at which masks are renewed."""

from __future__ import annotations

from dataclasses import dataclass

SCHEDULES: tuple[str, ...] = ("one_shot", "cubic", "exponential")


def cubic(progress: float, final: float, initial: float = 0.0, power: float = 3.0) -> float:
    """Zhu & Gupta's ramp (arXiv 1710.01878): final + (initial - final) * (1 - progress)^power."""
    progress = min(max(progress, 0.0), 1.0)
    if progress == 1.0:
        return final
    return final + (initial - final) * (1.0 - progress) ** power


def exponential(progress: float, final: float) -> float:
    """Density falls by a constant factor: density = (1 - final) ** progress (SynFlow, FORCE, iterative pruning)."""
    progress = min(max(progress, 0.0), 1.0)
    return final if progress == 1.0 else 1.0 - (1.0 - final) ** progress


@dataclass(frozen=True, kw_only=True)
class Events:
    """The optimiser steps at which a gradual method prunes: every `interval` steps from `first` to `last`.

    `last` is always an event, so that the target is met whatever the interval is. Steps count from 0: an event at step
    t sees the weights after t updates. See MaskPruner for its place within the step.
    """

    first: int
    last: int
    interval: int

    def is_due(self, step: int) -> bool:
        if not self.first <= step <= self.last:
            return False
        return step == self.last or (step - self.first) % self.interval == 0

    def progress(self, step: int) -> float:
        """0 before the first event, 1 at the last."""
        return 1.0 if step >= self.last else (step - self.first) / (self.last - self.first)


def events(total_steps: int, steps_per_epoch: int, begin: float, end: float, every: int) -> Events:
    """Events between two fractions of the training; `every` = 0 means once an epoch, at its first step."""
    interval = every or steps_per_epoch
    first = min(round(begin * total_steps), max(0, total_steps - 1))
    last = max(first, min(round(end * total_steps), total_steps) - 1)
    return Events(first=first, last=last, interval=max(1, interval))
