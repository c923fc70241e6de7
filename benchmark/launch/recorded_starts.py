"""Messages about dense trainings that came from records, whose weights must be computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..runs.files import FROM_RECORD
from ..runs.run import Run
from ..runs.store import Store
from ..studies.plan import Plan

Recorded = dict[str, tuple[Run, Mapping[str, Any]]]


def recorded_starts(plan: Plan, store: Store) -> Recorded:
    """Dense trainings to compute whose result came from a record, with that result, by id."""
    found: Recorded = {}
    for job in plan.to_do:
        result = store.result(plan.study, job.run) if job.run.is_dense else None
        if result is not None and result.get(FROM_RECORD):
            found[job.run.id] = job.run, result
    return found


def lines_before(plan: Plan, recorded: Recorded) -> list[str]:
    """A line that says which dense trainings are computed though they have a result; none if there are none."""
    if not recorded:
        return []
    runs = sum(job.wanted_by for job in plan.jobs if job.run.id in recorded)
    trainings = "1 dense training" if len(recorded) == 1 else f"{len(recorded)} dense trainings"
    start = "1 run that starts from it" if runs == 1 else f"{runs} runs that start from it"
    return [f"{plan.study}: only the record of {trainings} is here; the weights are computed anew, for {start}"]


def lines_after(study: str, recorded: Recorded, store: Store) -> list[str]:
    """For each that was computed, a line that says whether its weights are those of its record."""
    return [_line(run, before, now) for run, before in recorded.values() if (now := _computed(study, run, store))]


def _computed(study: str, run: Run, store: Store) -> Mapping[str, Any] | None:
    result = store.result(study, run)
    return None if result is None or result.get(FROM_RECORD) else result


def _line(run: Run, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    then, stored = ((result["provenance"].get("weights") or {}).get("stored") for result in (before, now))
    if then == stored:
        return f"dense training {run.id}: its weights are those of its record"
    first, second = (f"{result['accuracy']['last']:.2%}" for result in (before, now))
    return (
        f"dense training {run.id}: its weights are not those of its record (accuracy {first} there, {second} here); "
        "stored runs that started from the others are marked as of another dense training"
    )
