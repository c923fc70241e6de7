"""Pairs of runs that differ in the order of their data and noise alone: what `measure` compares."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..api.errors import UserError
from ..runs.run import Run
from .rows import Row
from .schema import StudyFile
from .yaml_source import Source


@dataclass(frozen=True)
class Pair:
    """Two retrainings of one row, sparsity and seed; `first` has the smaller retraining seed."""

    first: Row
    second: Row

    @property
    def runs(self) -> tuple[Run, Run]:
        assert self.first.run is not None
        assert self.second.run is not None
        return self.first.run, self.second.run

    @property
    def name(self) -> str:
        """Of its file."""
        return "-".join(run.id for run in self.runs)


def pairs_of(rows: Sequence[Row]) -> list[Pair]:
    """All pairs, in the order of the rows; each once, though rows may share runs."""
    alike: dict[str, dict[int, Row]] = {}
    for row in rows:
        if row.run is not None and not row.run.is_dense:
            alike.setdefault(replace(row.run, retrain_seed=0).id, {}).setdefault(row.retrain_seed, row)
    return [
        Pair(members[one], members[other])
        for members in alike.values()
        for one, other in itertools.combinations(sorted(members), 2)
    ]


def check_retrainings(file: StudyFile, source: Source) -> None:
    """Raises UserError for repeated seeds, and for measurements between retrainings where there are no two."""
    seeds = file.retrain_seeds
    if len(set(seeds)) < len(seeds):
        raise UserError(f"{source.place(['retrain_seeds'])}: retrain_seeds is {seeds}; each may stand there once")
    if file.measure and len(seeds) < 2:
        raise UserError(
            f"{source.place(['measure'])}: measure compares retrainings, and retrain_seeds is {seeds}; give two or more"
        )
    if file.three_regime is not None and set(file.measure) != {"lmc", "cka"}:
        raise UserError(f"{source.place(['three_regime'])}: three_regime needs measure: [lmc, cka]")


def check_pairs(rows: Sequence[Row], source: Source) -> None:
    """Raises UserError where a study measures pairs and all of its rows are dense."""
    if not pairs_of(rows):
        raise UserError(
            f"{source.place(['measure'])}: measure needs rows other than dense ones, which have no retrainings"
        )
