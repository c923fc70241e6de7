"""Compares two results folders: which runs differ, by how much, and whether rows are distinguishable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..analysis.paired import MIN_INTERVAL, PairedComparison, compare, differs, resolution
from ..analysis.verdict import NOT_DISTINGUISHABLE, TOO_FEW_PAIRS
from ..api.errors import Damaged, UserError
from ..runs.run import Run, to_dict, with_options
from ..runs.run_folder import RunFolder
from .provenance import provenance_differences
from .sources import run_of


@dataclass(frozen=True)
class Stored:
    """A stored result and its study; `dense` for dense trainings, which all studies share."""

    study: str
    run: Run
    result: Mapping[str, Any]

    @property
    def accuracy(self) -> float:
        return float(self.result["accuracy"]["last"])

    @property
    def row(self) -> tuple[str, ...]:
        """The row of a table: everything but the seeds, the recipe and the version of the method."""
        run = self.run
        options = json.dumps([list(run.method_options), list(run.dataset_options), list(run.model_options)])
        return (self.study, run.dataset, run.model, run.method, options, repr(run.sparsity))

    @property
    def row_name(self) -> str:
        method = with_options(self.run.method, self.run.method_options)
        return f"{self.study}: {method} {self.run.sparsity * 100:g} %"

    @property
    def network(self) -> str:
        """The network and the data set, each with its options."""
        run = self.run
        return f"{with_options(run.model, run.model_options)} on {with_options(run.dataset, run.dataset_options)}"


@dataclass(frozen=True)
class Pair:
    """The same row and seed in both folders; `changes`: where their specifications differ."""

    first: Stored
    second: Stored
    changes: tuple[str, ...]

    @property
    def difference(self) -> float:
        return self.second.accuracy - self.first.accuracy

    @property
    def is_same_run(self) -> bool:
        return self.first.run.id == self.second.run.id


@dataclass(frozen=True)
class RowDifference:
    """All pairs of a row. Differences are second minus first, fractions of the test set."""

    name: str
    pairs: tuple[Pair, ...]
    comparison: PairedComparison
    smallest_std: float

    @property
    def verdict(self) -> str:
        """`equal`, `different`, `not distinguishable`, or `too few pairs`."""
        differences = self.comparison.differences
        if not any(differences):
            return "equal"
        if len(differences) < MIN_INTERVAL:
            return TOO_FEW_PAIRS
        return "different" if differs(differences, self.smallest_std) else NOT_DISTINGUISHABLE


@dataclass(frozen=True)
class Comparison:
    """The runs that two results folders share, and those that only one has."""

    rows: tuple[RowDifference, ...]
    only_first: tuple[Stored, ...]
    only_second: tuple[Stored, ...]
    provenance: tuple[tuple[str, str, str, int], ...]
    """(Name, first value, second value, number of pairs) of versions and devices that differ."""

    @property
    def changed(self) -> list[Pair]:
        """Pairs whose accuracy differs, the largest difference first."""
        pairs = [pair for row in self.rows for pair in row.pairs if pair.difference]
        return sorted(pairs, key=lambda pair: -abs(pair.difference))


def compare_folders(
    first: Path, second: Path, study: str | None = None, note: Callable[[Damaged], None] | None = None
) -> Comparison:
    """Compare all stored results, or those of one study and the dense trainings.

    `note` is called with damaged results, which are left out; without it the first is raised. Raises UserError if a
    folder has no results.
    """
    return compare_stored(read_stored(first, study, note), read_stored(second, study, note))


def read_stored(root: Path, study: str | None = None, note: Callable[[Damaged], None] | None = None) -> list[Stored]:
    """Every finished run under a results folder. Raises UserError if there is none."""
    if not root.is_dir():
        raise UserError(f"no results folder {root}")
    folders = [root / "dense", *sorted(root.glob(f"{study or '*'}/runs"))]
    found = [stored for folder in folders if folder.is_dir() for stored in _read_all(folder, note)]
    if not any(stored.study == study or study is None for stored in found):
        raise UserError(f"no stored result of {f'study {study!r}' if study else 'any study'} in {root}")
    return found


def _read_all(folder: Path, note: Callable[[Damaged], None] | None) -> Iterator[Stored]:
    """The results of one folder of runs, in the order of their ids."""
    for path in sorted(folder.iterdir()):
        place = RunFolder(path)
        try:
            result = place.read_result()
            if result is not None:
                yield Stored(place.study, run_of(result, place.result_path), result)
        except Damaged as error:
            if note is None:
                raise
            note(error)


def compare_stored(first: Iterable[Stored], second: Iterable[Stored]) -> Comparison:
    """Pair runs by id, and the rest by row and seed if these identify one run on each side."""
    left = {(stored.study, stored.run.id): stored for stored in first}
    right = {(stored.study, stored.run.id): stored for stored in second}
    pairs = [Pair(left[key], right[key], ()) for key in left if key in right]
    rest_left = [stored for key, stored in left.items() if key not in right]
    rest_right = [stored for key, stored in right.items() if key not in left]
    by_row = _pair_by_row(rest_left, rest_right)
    used = {id(stored) for pair in by_row for stored in (pair.first, pair.second)}
    return Comparison(
        rows=tuple(_row_differences([*pairs, *by_row])),
        only_first=tuple(stored for stored in rest_left if id(stored) not in used),
        only_second=tuple(stored for stored in rest_right if id(stored) not in used),
        provenance=tuple(provenance_differences((p.first.result, p.second.result) for p in (*pairs, *by_row))),
    )


def _pair_by_row(first: list[Stored], second: list[Stored]) -> list[Pair]:
    left, right = _by_row_and_seed(first), _by_row_and_seed(second)
    return [
        Pair(left[key][0], right[key][0], tuple(_changes(to_dict(left[key][0].run), to_dict(right[key][0].run))))
        for key in left
        if key in right and len(left[key]) == len(right[key]) == 1
    ]


def _by_row_and_seed(stored: list[Stored]) -> dict[tuple[Any, ...], list[Stored]]:
    found: dict[tuple[Any, ...], list[Stored]] = {}
    for one in stored:
        found.setdefault((*one.row, one.run.seed, one.run.retrain_seed), []).append(one)
    return found


def _changes(first: Mapping[str, Any], second: Mapping[str, Any], place: str = "") -> list[str]:
    """`recipe.lr: 0.1 -> 0.05` for every difference between two specifications."""
    found = []
    for key in sorted(first.keys() | second.keys()):
        one, other = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found += _changes(one, other, f"{place}{key}.")
        elif one != other:
            shown = ["default" if value is None else json.dumps(value) for value in (one, other)]
            found.append(f"{place}{key}: {shown[0]} -> {shown[1]}")
    return found


def _row_differences(pairs: list[Pair]) -> list[RowDifference]:
    rows: dict[tuple[str, ...], list[Pair]] = {}
    for pair in pairs:
        rows.setdefault(pair.first.row, []).append(pair)
    counts = Counter(members[0].first.row_name for members in rows.values())
    found = []
    for members in rows.values():
        ordered = sorted(members, key=lambda pair: (pair.first.run.seed, pair.first.run.retrain_seed))
        stored = ordered[0].first
        # Rows of several networks may have the same name: dense trainings, or a study with options of the network.
        name = stored.row_name if counts[stored.row_name] == 1 else f"{stored.row_name}, {stored.network}"
        step = resolution(side.accuracy for pair in ordered for side in (pair.first, pair.second))
        comparison = compare(_by_seed(ordered), smallest_std=step / 2)
        found.append(RowDifference(name, tuple(ordered), comparison, step / 2))
    return found


def _by_seed(pairs: Iterable[Pair]) -> list[float]:
    """Differences by seed: retrainings of one dense training are not independent, so they are averaged."""
    found: dict[int, list[float]] = {}
    for pair in pairs:
        found.setdefault(pair.first.run.seed, []).append(pair.difference)
    return [sum(differences) / len(differences) for differences in found.values()]
