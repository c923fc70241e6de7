"""What a plan needs besides time: disk of the results, and memory of a run. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..runs.run import Run
from .plan import Job
from .run_cost import planned_epochs

BYTES = 4  # of a float32
BYTES_A_RUN = 10_000  # result, run, attempts
BYTES_AN_EPOCH = 300  # a line of the history


@dataclass(frozen=True)
class Footprint:
    """Bytes. `memory` (weights, gradients, optimiser, masks) and `activations` are those of the run that needs most."""

    disk: int
    memory: int
    activations: int

    def lines(self) -> list[str]:
        least = _shown(self.memory + self.activations)
        return [
            f"disk           about {_shown(self.disk)} of results to do (weights of dense trainings, masks, records)",
            f"memory         at least {least} a run: {_shown(self.memory)} of weights, "
            f"gradients, optimiser and masks, {_shown(self.activations)} that a batch leaves for the backward pass; "
            "torch's workspaces and data kept on the device come on top, scoring takes more with some methods",
        ]


def footprint(jobs: Iterable[Job], sizes: Callable[[Run], tuple[int, int]], kept: Callable[[Run], int]) -> Footprint:
    """Of the runs to do; `sizes(run)` are the parameters of its network and the prunable weights among them,
    `kept(run)` the bytes that a batch leaves for the backward pass."""
    disk, needs = 0, [(0, 0)]
    for job in jobs:
        parameters, prunable = sizes(job.run)
        stored = parameters * BYTES if job.run.is_dense else prunable / 8
        disk += round(stored) + BYTES_A_RUN + BYTES_AN_EPOCH * planned_epochs(job.run)
        needs.append((parameters * BYTES * (2 + _optimizer_states(job.run)) + prunable, kept(job.run)))
    memory, activations = max(needs, key=sum)
    return Footprint(disk, memory, activations)


def _optimizer_states(run: Run) -> int:
    """Tensors of the size of the network that the optimiser keeps."""
    if run.recipe.optimizer != "sgd":
        return 2
    return 1 if run.recipe.momentum else 0


def _shown(number: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"
