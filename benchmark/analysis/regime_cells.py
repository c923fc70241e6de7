"""The cells of a three-regime study: what one value of the knob and one density measured, by seed and on average.

A seed has a dense training; its retrainings and their pairs share it, so they are averaged first. A cell of which a
run or a pair is missing has no numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.errors import UserError
from ..studies.regime_rows import default_value, dense_label, hottest_first, regime_label
from ..studies.schema import Knob
from .connectivity import Regime, Thresholds, regime
from .frame_type import Frame
from .long_frames import epochs_of
from .study_results import StudyResults

LAST_EPOCHS = 5
"""Of a retraining, whose errors are averaged: no epoch is chosen."""

PASS = 1 / 3
"""A pass over the data forward alone, in epochs of training (forward and backward)."""


@dataclass(frozen=True)
class SeedCell:
    """One cell of one dense seed. Errors, `lmc` and `barrier` are fractions, `cka` is None where it is 0 / 0.

    Attributes:
        test_error: Mean over retrainings of that of the last epochs; `validation_error` likewise, None without a split.
        train_error: Mean over both ends of all paths.
        dense_validation_error: Of the dense training's last epochs.
        dense_epochs: Epochs of the dense training; `retrain_epochs` those of one retraining.
        measuring_epochs: What measuring all pairs costs, in epochs of training.
    """

    test_error: float
    validation_error: float | None
    train_error: float
    lmc: float
    barrier: float
    cka: float | None
    dense_validation_error: float | None
    dense_epochs: float
    retrain_epochs: float
    num_retrainings: int
    weights_left: float

    @property
    def measuring_epochs(self) -> float:
        """Of each pair 11 points, each with a pass for batch norm and one for errors, forward alone."""
        return self.num_retrainings * (self.num_retrainings - 1) / 2 * 11 * 2 * PASS


@dataclass(frozen=True)
class RegimeCell:
    """All seeds of a value of the knob and a density."""

    seeds: dict[int, SeedCell]

    def values(self, name: str) -> list[float]:
        """One number for each seed."""
        return [float(value) for each in self.seeds.values() if (value := getattr(each, name)) is not None]

    def mean(self, name: str) -> float:
        values = self.values(name)
        return sum(values) / len(values) if values else float("nan")


Cells = dict[tuple[float, float], RegimeCell]


@dataclass(frozen=True)
class RegimeMap:
    """A three-regime study: `values` of the knob from hot to cold, `densities` rising, the cells that are complete."""

    knob: Knob
    values: list[float]
    densities: list[float]
    cells: Cells
    default: float
    num_classes: int
    thresholds: Thresholds

    @property
    def num_missing(self) -> int:
        return len(self.values) * len(self.densities) - len(self.cells)

    def column(self, density: float) -> dict[float, RegimeCell]:
        """The complete cells of a density by value, from hot to cold."""
        return {value: self.cells[value, density] for value in self.values if (value, density) in self.cells}

    def normalised_error(self, value: float, density: float) -> float:
        """Test error above the smallest one of the density."""
        return self.cells[value, density].mean("test_error") - min(
            cell.mean("test_error") for cell in self.column(density).values()
        )

    def regime(self, value: float, density: float, thresholds: Thresholds | None = None) -> Regime:
        """By the thresholds of the study, or others."""
        cell = self.cells[value, density]
        return regime_of(cell.mean, thresholds or self.thresholds, self.num_classes)

    def relative_regime(self, value: float, density: float) -> Regime:
        """By the rule that tau is a third of the deepest barrier of the density, if that is below -0.05."""
        deepest = min(cell.mean("lmc") for cell in self.column(density).values())
        tau = -deepest / 3 if deepest < -0.05 else 1.0
        own = self.thresholds
        return self.regime(value, density, Thresholds(tau=tau, cka=own.cka, failed=own.failed))


def regime_of(mean: Callable[[str], float], thresholds: Thresholds, num_classes: int) -> Regime:
    """The regime of a cell whose numbers `mean` gives by name."""
    return regime(mean("lmc"), mean("cka"), mean("train_error"), num_classes, thresholds)


def regime_map(found: StudyResults) -> RegimeMap:
    """The cells of a study. Raises UserError for a study without the block `three_regime`."""
    study, block = found.study, found.study.file.three_regime
    if block is None:
        raise UserError(f"study {study.name!r} is no three-regime study: it has no block 'three_regime'")
    densities = sorted(block.density)
    reader = _Reader(found)
    cells = {
        (value, density): cell
        for value in block.values
        for density in densities
        if (cell := reader.cell(regime_label(block.knob, value), dense_label(block.knob, value), density)) is not None
    }
    return RegimeMap(
        knob=block.knob,
        values=hottest_first(block),
        densities=densities,
        cells=cells,
        default=default_value(study.file),
        num_classes=round(1 / found.chance) if found.chance else 1,
        thresholds=Thresholds(**block.thresholds.model_dump(exclude_none=True)),
    )


class _Reader:
    """Reads runs, their epochs and their pairs; each epoch file once."""

    def __init__(self, found: StudyResults) -> None:
        self.found = found
        self.runs = dict(iter(found.runs.groupby(["label", "target"], sort=False)))
        self.pairs = dict(iter(found.pairs.groupby(["label", "target"], sort=False)))
        self.run_of = {row.run.id: row.run for row in found.study.rows if row.run is not None}

    def cell(self, label: str, dense: str, density: float) -> RegimeCell | None:
        target = round(1 - density, 12)
        runs, pairs, dense_runs = (
            self.runs.get((label, target)), self.pairs.get((label, target)), self.runs.get((dense, 0.0))
        )  # fmt: skip
        if runs is None or pairs is None or dense_runs is None:
            return None
        seeds = {seed: self._seed(rows, _of_seed(pairs, seed), _of_seed(dense_runs, seed)) for seed, rows in _by(runs)}
        if any(cell is None for cell in seeds.values()):
            return None
        return RegimeCell({seed: cell for seed, cell in seeds.items() if cell is not None})

    def _seed(self, runs: Frame, pairs: Frame, dense: Frame) -> SeedCell | None:
        if not (set(runs["state"]) == set(dense["state"]) == {"done"} and set(pairs["state"]) == {"measured"}):
            return None
        last = [self._last_errors(run_id) for run_id in runs["id"]]
        dense_last = self._last_errors(dense["id"].iloc[0])
        if None in last or dense_last is None:
            return None
        known = [each for each in last if each is not None]
        similar = pairs["cka_softmax"]
        return SeedCell(
            test_error=_mean([test for test, _ in known]) or 0.0,
            validation_error=_mean([validation for _, validation in known]),
            train_error=float(pairs["train_error"].mean()),
            lmc=float(pairs["lmc_symmetric"].mean()),
            barrier=float(pairs["barrier_chord"].mean()),
            cka=float(similar.mean()) if similar.notna().all() else None,
            dense_validation_error=dense_last[1],
            dense_epochs=float(dense["epochs"].iloc[0]),
            retrain_epochs=float(runs["epochs"].mean()),
            num_retrainings=len(runs),
            weights_left=1 - float(runs["sparsity"].mean()),
        )

    def _last_errors(self, run_id: str) -> tuple[float, float | None] | None:
        """Test and validation error over the last epochs; None where the epochs cannot be read."""
        run, store, study = self.run_of[run_id], self.found.store, self.found.study.name
        epochs = epochs_of(store, store.folder(study, run), store.result(study, run))[-LAST_EPOCHS:]
        test = _mean([_error(epoch["test_accuracy"]) for epoch in epochs])
        return None if test is None else (test, _mean([_error(epoch["validation_accuracy"]) for epoch in epochs]))


def _by(rows: Frame) -> list[tuple[int, Frame]]:
    return [(int(seed), group) for seed, group in rows.groupby("seed", sort=True)]


def _of_seed(rows: Frame, seed: int) -> Frame:
    return rows[rows["seed"] == seed]


def _error(accuracy: Any) -> float | None:
    return None if accuracy is None else 1 - float(accuracy)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
