"""How sparsity rises: schedules as values, and the steps at which masks are renewed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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


@dataclass(frozen=True, kw_only=True)
class OneShot:
    """All at once before the training, and the base class of the other schedules. `final`: the sparsity it ends at."""

    final: float

    def before_training(self) -> list[float]:
        """The sparsities to prune to, one after the other, before the first step."""
        return [self.final]

    def events(self, total_steps: int, steps_per_epoch: int) -> Events | None:
        """The steps at which to prune during the training; None: at none."""
        return None

    def at(self, progress: float) -> float:
        """The sparsity at a fraction of the time between the first event and the last."""
        return self.final


@dataclass(frozen=True, kw_only=True)
class Exponential(OneShot):
    """Rounds before the training, each of which keeps the same share of the weights that are left."""

    prune_rounds: int = 1

    def before_training(self) -> list[float]:
        return [exponential(step / self.prune_rounds, self.final) for step in range(1, self.prune_rounds + 1)]


@dataclass(frozen=True, kw_only=True)
class Held(OneShot):
    """All at once before the training; then the sparsity is held and masks are renewed `every` so many steps."""

    every: int = 0


@dataclass(frozen=True, kw_only=True)
class Cubic(OneShot):
    """Zhu & Gupta's ramp during the training."""

    begin: float = 0.0
    end: float = 0.75
    every: int = 0
    power: float = 3.0
    initial_sparsity: float = 0.0

    def __post_init__(self) -> None:
        if self.begin >= self.end:
            raise ValueError(f"begin is {self.begin}; it must be less than end, {self.end}")
        if self.initial_sparsity > self.final:
            raise ValueError(f"initial_sparsity is {self.initial_sparsity}; it must be at most sparsity, {self.final}")

    def before_training(self) -> list[float]:
        return []

    def events(self, total_steps: int, steps_per_epoch: int) -> Events:
        return events(total_steps, steps_per_epoch, self.begin, self.end, self.every)

    def at(self, progress: float) -> float:
        return cubic(progress, self.final, self.initial_sparsity, self.power)


def choose_schedule(
    chosen: str, kinds: Mapping[str, type[OneShot]], options: DataclassInstance, final: float
) -> OneShot:
    """The schedule of that name, made of the options that it takes.

    Raises ValueError for an option that was changed and is only taken by schedules that were not chosen: it would have
    no effect.
    """
    parameters = {name: _parameters(kind) for name, kind in kinds.items()}
    for option in fields(options):
        takers = {name: taken[option.name] for name, taken in parameters.items() if option.name in taken}
        if not takers or chosen in takers:
            continue
        value = getattr(options, option.name)
        # The method's default and the schedule's own may differ; neither is a change.
        if value not in (option.default, *(parameter.default for parameter in takers.values())):
            raise ValueError(f"{option.name} is {value!r}; it needs schedule: {' or '.join(takers)}, not {chosen}")
    return kinds[chosen](final=final, **{name: getattr(options, name) for name in parameters[chosen]})


def _parameters(kind: type[OneShot]) -> dict[str, Field[Any]]:
    return {field.name: field for field in fields(kind) if field.name != "final"}
