"""Plans the merging of results of several machines: what to copy, what is there already, and what contradicts it.

No stored result is replaced, except one that came from a record, by the same result with its files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..api.errors import Damaged
from ..runs.files import FROM_RECORD
from ..runs.pair_files import stored_weights, weights_in
from ..runs.run_folder import RunFolder
from ..runs.store import Store
from .sources import Source

TIMES = (
    "seconds",
    "train_seconds",
    "evaluate_seconds",
    "prune_seconds",
    "mask_seconds",
    "peak_memory_bytes",
    "resumed",
)
"""Costs that differ between two computations of the same run."""

Action = Literal["copy", "complete"]


@dataclass(frozen=True)
class Step:
    """One run to merge. `complete`: its record is there already, and its files are added."""

    source: Source
    target: RunFolder
    action: Action


@dataclass(frozen=True)
class Conflict:
    """One run with two results: where they are, and the fields that differ, as `accuracy.last: 0.9 | 0.8`."""

    source: Source
    other: Path
    fields: tuple[str, ...]

    def line(self, shown: int = 4) -> str:
        more = f"; and {len(self.fields) - shown} more" if len(self.fields) > shown else ""
        run = self.source.run
        return (
            f"conflict: {run.id} ({self.source.study}: {run.method} {run.sparsity * 100:g} % seed {run.seed}) has "
            f"another result in {self.other} than in {self.source.path}, both are kept: "
            f"{'; '.join(self.fields[:shown])}{more}"
        )


@dataclass
class Merge:
    """The plan: steps, the number of results that are there already, conflicts, and damaged results of the target.

    `weights`: SHA-256 of the weights by run folder of the target, of the results that were looked at.
    """

    steps: list[Step] = field(default_factory=list)
    num_equal: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    damaged: dict[Path, str] = field(default_factory=dict)
    weights: dict[Path, str | None] = field(default_factory=dict)

    def weights_of(self, folder: RunFolder) -> str | None:
        """What the result of a run says of its weights, where it has one or will have one."""
        if folder.path not in self.weights:
            try:
                self.weights[folder.path] = stored_weights(folder)
            except Damaged:
                self.weights[folder.path] = None
        return self.weights[folder.path]


@dataclass(frozen=True)
class _There:
    """A result that the target has, or will have."""

    result: Mapping[str, Any]
    path: Path
    has_files: bool


def plan_merge(sources: Sequence[Source], store: Store) -> Merge:
    """Decide about every source in the given order: of two that contradict each other, the first is merged."""
    merge, known = Merge(), dict[Path, _There | None]()
    for source in sources:
        target = store.folder(source.study, source.run)
        if target.path not in known:
            known[target.path] = _look(target, merge)
        there = known[target.path]
        fields = () if there is None else tuple(differing_fields(there.result, source.result))
        if there is not None and fields:
            merge.conflicts.append(Conflict(source, there.path, fields))
        elif there is None or (source.has_files and not there.has_files):
            merge.steps.append(Step(source, target, "copy" if there is None else "complete"))
            known[target.path] = _There(source.result, source.path, source.has_files)
        else:
            merge.num_equal += 1
    for path, there in known.items():
        merge.weights[path] = None if there is None else weights_in(there.result)
    return merge


def _look(target: RunFolder, merge: Merge) -> _There | None:
    """The result of the target; None for a damaged one, which is set aside when another is copied."""
    try:
        result = target.read_result()
    except Damaged as error:
        merge.damaged[error.path] = error.reason
        return None
    if result is None:
        return None
    try:
        has_files = target.check_stored() and not result.get(FROM_RECORD)
    except Damaged:
        has_files = False
    return _There(result, target.path, has_files)


def differing_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Fields in which two results of one run differ, without times, memory and provenance.

    Fields that only one of them has are not compared: another version wrote them, or fewer files were kept.
    """
    left, right = dict(_flat(_compared(first))), dict(_flat(_compared(second)))
    return [f"{key}: {left[key]} | {right[key]}" for key in left if key in right and left[key] != right[key]]


def _compared(result: Mapping[str, Any]) -> dict[str, Any]:
    """What to compare; of the provenance only code and weights, because hosts, versions and devices may differ."""
    kept = {key: value for key, value in result.items() if key not in ("study", "provenance", FROM_RECORD)}
    kept["cost"] = {key: value for key, value in result["cost"].items() if key not in TIMES}
    for key in ("code", "weights"):
        stated = result["provenance"].get(key) or {}
        kept[key] = {name: value for name, value in stated.items() if value is not None}
    kept["layers"] = {layer["name"]: layer for layer in result["layers"]} | {"number": len(result["layers"])}
    return kept


def _flat(value: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{place}{key}.")
        else:
            yield f"{place}{key}", item
