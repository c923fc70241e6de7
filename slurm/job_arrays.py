"""Distributes runs over job arrays: which runs share a job, and which array waits for which job. No SLURM here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..benchmark.api.errors import UserError
from ..benchmark.runs.run import Run
from ..benchmark.studies.run_cost import planned_epochs

Element = tuple[Run, ...]
"""The runs of one job of an array."""

DENSE_ARRAY = "dense"
"""Prefix of the names of arrays of dense trainings that other runs start from."""


@dataclass(frozen=True)
class Place:
    """A job that will be submitted: element `element` of array number `array`."""

    array: int
    element: int


@dataclass(frozen=True)
class Array:
    """One job array. `after`: the job that all its elements wait for, which will be submitted or is queued already."""

    name: str
    elements: tuple[Element, ...]
    after: Place | str | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the controller accepts. `room`: how many more jobs may be queued; None if no limit is known."""

    runs_per_job: int
    max_array_size: int
    room: int | None = None


def arrange(runs: Sequence[Run], queued: Mapping[str, str], limits: Limits) -> list[Array]:
    """Arrays for all runs: shared dense trainings first, then one array for each job that others wait for.

    `queued` maps ids of dense trainings that wait or run already to their jobs. If the controller accepts fewer jobs
    than there are runs, each job computes several runs in turn. Raises UserError if even that does not fit.
    """
    ordered = sorted(runs, key=lambda run: -planned_epochs(run))
    parents = {run.parent.id for run in runs if run.parent is not None}
    dense = [run for run in ordered if run.id in parents]
    others = [run for run in ordered if run.id not in parents]
    if limits.room is None:
        return _lay_out(dense, others, queued, limits, limits.runs_per_job)
    fewest = _num_jobs(_lay_out(dense, others, queued, limits, max(1, len(runs))))
    if fewest > limits.room:
        raise UserError(f"at least {fewest} jobs are needed, the cluster takes {max(0, limits.room)} more")
    for series in itertools.count(max(1, len(runs) // (limits.runs_per_job * max(1, limits.room)))):
        arrays = _lay_out(dense, others, queued, limits, limits.runs_per_job * series)
        if _num_jobs(arrays) <= limits.room:
            return arrays
    raise AssertionError("one element with all runs was found to fit")


def _num_jobs(arrays: Sequence[Array]) -> int:
    return sum(len(array.elements) for array in arrays)


def _lay_out(
    dense: Sequence[Run], others: Sequence[Run], queued: Mapping[str, str], limits: Limits, size: int
) -> list[Array]:
    arrays = [
        Array(_numbered(DENSE_ARRAY, i), part) for i, part in enumerate(_parts(dense, size, limits.max_array_size))
    ]
    places: dict[str, Place | str] = dict(queued)
    for number, array in enumerate(arrays):
        for index, element in enumerate(array.elements):
            places |= {run.id: Place(number, index) for run in element}
    groups: dict[Place | str | None, list[Run]] = {}
    for run in others:
        groups.setdefault(places.get(run.parent.id) if run.parent else None, []).append(run)
    for after, members in groups.items():
        name = "direct" if after is None else f"after-{_first_parent(members)}"
        for i, part in enumerate(_parts(members, size, limits.max_array_size)):
            arrays.append(Array(_numbered(name, i), part, after))
    return arrays


def _parts(runs: Sequence[Run], size: int, max_array_size: int) -> list[tuple[Element, ...]]:
    """Elements of `size` runs, in arrays of at most `max_array_size` elements."""
    elements = [tuple(runs[i : i + size]) for i in range(0, len(runs), size)]
    return [tuple(elements[i : i + max_array_size]) for i in range(0, len(elements), max_array_size)]


def _first_parent(members: Sequence[Run]) -> str:
    return next(run.parent.id for run in members if run.parent is not None)


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}-{index + 1}"
