"""Selects the runs of a submission: those that are neither stored nor queued, and have not failed for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..benchmark.api.errors import DataMissing, UserError
from ..benchmark.runs.run import Run
from .status import Overview, overview


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The runs of a submission, and why others are left out.

    Attributes:
        runs: to submit.
        queued: jobs that wait or run already, by run id.
        replaced: jobs that wait for a dense training that has ended without a result; their runs are submitted again.
        num_active: runs that wait or run already.
        left_out: why others are not submitted, one line each.
        damaged: files that could not be read, with the reason.
    """

    runs: tuple[Run, ...]
    queued: dict[str, str]
    replaced: tuple[str, ...] = ()
    num_active: int = 0
    left_out: tuple[str, ...] = ()
    damaged: Mapping[Path, str] = field(default_factory=dict)


def choose_for(study: str, runs: Sequence[Run], results: Path, *, needs_queue: bool = True) -> Choice:
    """The choice by the present files and queue.

    Raises DataMissing if the queue is needed but unknown, and UserError if jobs in it may compute the same runs, which
    only their damaged manifest could tell.
    """
    found = overview(study, runs, results, use_cache=False)
    if found.queue_error and needs_queue:
        raise DataMissing(f"{found.queue_error}; nothing is submitted, because it might be queued already")
    chosen = choose(found)
    if needs_queue:
        _check_unknown_jobs(study, found, chosen)
    return chosen


def _check_unknown_jobs(study: str, found: Overview, chosen: Choice) -> None:
    """Unknown jobs of another study may compute only dense trainings of this one, which studies share."""
    own = {path: jobs for path, jobs in found.unknown_jobs.items() if path.parent.parent.name == study}
    doubtful = found.unknown_jobs if any(run.is_dense for run in chosen.runs) else own
    if not doubtful or not chosen.runs:
        return
    studies = ", ".join(sorted({path.parent.parent.name for path in doubtful}))
    number = sum(len(jobs) for jobs in doubtful.values())
    raise UserError(
        f"{number} jobs in the queue belong to submissions with a damaged manifest ({', '.join(map(str, doubtful))}): "
        "nothing says which runs they compute, and nothing is submitted; wait until they have ended, or end them with "
        f"prunebench cancel {studies}"
    )


def choose(found: Overview) -> Choice:
    """All runs but those that are stored, active, or failed for good, and those that start from one that failed."""
    states = found.states
    active = {run_id: state for run_id, state in states.items() if state.is_active}
    queued = {run_id: state.job for run_id, state in active.items() if state.is_in_queue}
    left_out = [
        f"{run_id} {state.state}: {state.reason}"
        for run_id, state in states.items()
        if state.state != "done" and not state.is_active and not state.retryable
    ]
    candidates = [job.run for job in found.plan.jobs if states[job.run.id].can_be_submitted]
    available = {run.id for run in candidates} | queued.keys()
    available |= {run_id for run_id, state in states.items() if state.state == "done"}
    runs = []
    for run in candidates:
        if run.parent is None or run.parent.id in available:
            runs.append(run)
        else:
            left_out.append(f"{run.id} needs {run.parent.id}, which is computed outside the queue")
    chosen = {run.id for run in runs}
    in_vain = {states[run_id].job for run_id in chosen if states[run_id].is_in_queue}
    whole = {state.job for state in states.values() if state.job in in_vain and chosen.issuperset(state.job_runs)}
    return Choice(
        runs=tuple(runs),
        queued=queued,
        replaced=tuple(sorted(whole)),
        num_active=len(active),
        left_out=tuple(left_out),
        damaged=found.damaged,
    )
