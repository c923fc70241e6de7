"""From a list of runs to what there is to do: which are stored, which dense trainings are shared, what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..api.errors import Damaged, OnlyRecorded
from ..runs.run import Run
from ..runs.run_folder import Status
from ..runs.store import Store

NO_WEIGHTS = "only its record is here; its weights are computed anew"
"""Why a dense training with a result is to be computed: it came from a record, and a run is to start from it."""


@dataclass(frozen=True)
class Job:
    """A run with its status; `wanted_by` counts the runs that start from it."""

    run: Run
    status: Status
    wanted_by: int = 0


@dataclass(frozen=True)
class Plan:
    """All runs of a study, shared dense trainings included, each once."""

    study: str
    jobs: tuple[Job, ...]

    @property
    def to_do(self) -> list[Job]:
        """Missing, damaged, interrupted, running elsewhere, or failed by the machine's fault."""
        return [job for job in self.jobs if is_open(job.status)]

    def count(self, state: str) -> int:
        return sum(job.status.state == state for job in self.jobs)


def is_open(status: Status) -> bool:
    return status.state in ("missing", "damaged", "interrupted", "running") or (
        status.state == "failed" and status.retryable
    )


def with_parents(runs: Iterable[Run]) -> list[Run]:
    """The runs and the dense trainings that they start from, each once, parents first."""
    ordered: dict[str, Run] = {}
    for run in runs:
        if run.parent is not None:
            ordered.setdefault(run.parent.id, run.parent)
    for run in runs:
        ordered.setdefault(run.id, run)
    return list(ordered.values())


def make_plan(study: str, runs: Sequence[Run], store: Store) -> Plan:
    """Look every run up in the store. A parent that is only needed by stored runs is left out, unless it is stored."""
    everything = with_parents(runs)
    # One listing instead of a look at every folder: most runs of a new study are simply not there.
    existing = store.existing(study)
    for run in everything:
        if run.id in existing:
            store.result(study, run)  # notes damaged results
    status = {run.id: store.status(study, run) if run.id in existing else Status("missing") for run in everything}
    _ask_for_weights(everything, status, store, study)
    wanted = {run.id for run in runs}
    children: dict[str, int] = {}
    for run in everything:
        if run.parent is not None and is_open(status[run.id]):
            children[run.parent.id] = children.get(run.parent.id, 0) + 1
    jobs = [
        Job(run, status[run.id], children.get(run.id, 0))
        for run in everything
        if run.id in wanted or run.id in children or status[run.id].state == "done"
    ]
    return Plan(study, tuple(jobs))


def _ask_for_weights(runs: Iterable[Run], status: dict[str, Status], store: Store, study: str) -> None:
    """A dense training whose weights are gone is done for tables, but not for the runs that are to start from it."""
    for run in runs:
        parent = run.parent
        if parent is not None and is_open(status[run.id]) and status[parent.id].state == "done":
            try:
                store.folder(study, parent).check_stored()
            except OnlyRecorded:
                status[parent.id] = _without_weights(store.folder(study, parent).status(is_wanted_anew=True))
            except Damaged as error:
                status[parent.id] = Status("damaged", f"{error.path.name}: {error.reason}")


def _without_weights(status: Status) -> Status:
    return Status("missing", NO_WEIGHTS) if status.state == "missing" else status
