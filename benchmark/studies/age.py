"""Which stored results are older than what would be computed now: of other code, weights, or dense trainings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..runs.run import Run
from ..runs.run_code import CodeReader, differences
from ..runs.store import Store
from .plan import with_parents

Age = tuple[str, ...]
"""What has changed since, as keys of CHANGES; empty where nothing has, or where the result does not know its code."""

CHANGES: dict[str, str] = {
    "method": "code of the method",
    "network": "code of the network",
    "weights": "weights file",
    "dataset": "code of the data set",
    "changed": "code that changed during the run",
    "start": "dense training",
}


class Ages:
    """The ages of stored results of a study, one after the other."""

    def __init__(self, study: str, store: Store) -> None:
        self._study, self._store, self._reader = study, store, CodeReader()
        self._parents: dict[str, tuple[Age, str | None]] = {}

    def of(self, run: Run, result: Mapping[str, Any]) -> Age:
        """What has changed since the run was computed."""
        provenance = result["provenance"]
        found = differences(provenance.get("code"), self._reader.read(run)) if provenance.get("code") else ()
        if run.parent is None:
            self._parents[run.id] = found, _weights(provenance).get("stored")
            return found
        age, weights = self._of_parent(run.parent)
        start = _weights(provenance).get("start")
        # Computed anew since, and to other bits
        is_other = start is not None and weights is not None and start != weights
        return (*found, "start") if age or is_other else found

    def _of_parent(self, parent: Run) -> tuple[Age, str | None]:
        if parent.id not in self._parents:
            self._parents[parent.id] = (), None
            if (result := self._store.result(self._study, parent)) is not None:
                self.of(parent, result)
        return self._parents[parent.id]


def _weights(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    return provenance.get("weights") or {}


def older_runs(study: str, runs: Sequence[Run], store: Store) -> dict[str, Age]:
    """The stored runs, dense trainings included, that are older than what would be computed now, by run id."""
    existing, ages, found = store.existing(study), Ages(study, store), {}
    for run in with_parents(runs):
        result = store.result(study, run) if run.id in existing else None
        if result is not None and (age := ages.of(run, result)):
            found[run.id] = age
    return found


def age_lines(study: str, ages: Iterable[Age]) -> list[str]:
    """One line about stored results that are older; none where none is."""
    known = [age for age in ages if age]
    if not known:
        return []
    told = f"{counted(len(known), 'stored result')} of older code or weights ({spelled(known)})"
    return [f"{study}: {told}; run --recompute computes them anew"]


def counted(number: int, what: str) -> str:
    """`1 stored result is`, `2 stored results are`."""
    return f"1 {what} is" if number == 1 else f"{number} {what}s are"


def spelled(ages: Iterable[Age]) -> str:
    """`code of the method: 3, weights file: 1`."""
    counts = Counter(key for age in ages for key in age)
    return ", ".join(f"{text}: {counts[key]}" for key, text in CHANGES.items() if counts[key])
