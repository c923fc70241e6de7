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
    """Bytes. `memory` is that of the largest run without activations, which depend on the batch and the network."""

    disk: int
    memory: int

    def lines(self) -> list[str]:
        return [
            f"disk           about {_shown(self.disk)} of results to do (weights of dense trainings, masks, records)",
            f"memory         at least {_shown(self.memory)} a run (weights, gradients, optimiser, masks); activations "
            "of a batch and data kept on the device come on top",
        ]


def footprint(jobs: Iterable[Job], sizes: Callable[[Run], tuple[int, int]]) -> Footprint:
    """Of the runs to do; `sizes(run)` are the parameters of its network and the prunable weights among them."""
    disk, memory = 0, 0
    for job in jobs:
        parameters, prunable = sizes(job.run)
        stored = parameters * BYTES if job.run.is_dense else prunable / 8
        disk += round(stored) + BYTES_A_RUN + BYTES_AN_EPOCH * planned_epochs(job.run)
        memory = max(memory, parameters * BYTES * (2 + _optimizer_states(job.run)) + prunable)
    return Footprint(disk, memory)


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
