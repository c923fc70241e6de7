"""The cost of a run as its result will record it: epochs, images, multiply-adds. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...datasets.parts.info import DataSetInfo
from ...datasets.registry import dataset_names, train_size
from ...datasets.registry import describe as describe_dataset
from ...methods.listing.budget import trained_epochs
from ...methods.registry import describe
from ..runs.run import Run, with_options

MACS_TABLE = Path(__file__).parents[1] / "models" / "macs.json"
"""Multiply-adds of one input, by model and data set: made by `python -m prunebench.benchmark.models.macs_table`."""

NO_MACS = ("weights", "dropout", "zero_init_residual")
"""Options of networks that change no multiply-add."""

CountMacs = Callable[[str, Mapping[str, Any], DataSetInfo], int]
"""Multiply-adds of one input, from model, options and data set: `models.macs_table.count_one`, which loads torch."""

Frozen = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class RunCost:
    """The numbers known before the run; None for others, with the reasons in `unknown`.

    `samples` are the training images of an epoch, `macs` the multiply-adds of a forward pass of one input.
    """

    epochs: int | None
    samples: int | None
    macs: int | None
    unknown: tuple[str, ...] = ()

    @property
    def images(self) -> int | None:
        if self.epochs == 0:
            return 0
        return None if self.epochs is None or self.samples is None else self.epochs * self.samples

    @property
    def training_macs(self) -> int | None:
        """Forward and backward together are three forward passes."""
        if self.images == 0:
            return 0
        return None if self.images is None or self.macs is None else 3 * self.macs * self.images


def run_cost(run: Run, count: CountMacs | None = None) -> RunCost:
    """The cost of a run's own training; the dense training that it starts from is another run.

    Networks that the shipped table does not hold are counted by `count`, if it is given. Raises UserError for options
    with which the run would be refused.
    """
    epochs = _epochs(run.method, run.sparsity, run.method_options, run.recipe.trained_epochs)
    samples = _samples(run.dataset, run.dataset_options, run.validation)
    macs = _macs(run.model, run.model_options, run.dataset, run.dataset_options, count)
    unknown = []
    if epochs is None:
        unknown.append(f"epochs of {run.method}: its class has rounds of its own and no epochs_rule")
    if samples is None:
        unknown.append(f"training samples of {run.dataset}: whole persons are held out for validation")
    if not describe(run.method).keeps_network:
        macs = None
        unknown.append(f"multiply-adds of {run.method}: it trains another network than {run.model}")
    elif macs is None:
        network = with_options(run.model, _architecture(run.model_options))
        unknown.append(f"multiply-adds of {network} on {run.dataset}: --calibrate counts them")
    return RunCost(epochs, samples, macs, tuple(unknown))


def planned_epochs(run: Run) -> int:
    """Epochs of all rounds, or of one where the method does not say how many there are; at least 1, a share of work."""
    known = _epochs(run.method, run.sparsity, run.method_options, run.recipe.trained_epochs)
    return max(1, run.recipe.trained_epochs if known is None else known)


@cache
def _epochs(method: str, sparsity: float, options: Frozen, epochs: int) -> int | None:
    return trained_epochs(describe(method), sparsity, dict(options), epochs)


@cache
def _samples(dataset: str, options: Frozen, validation: float) -> int | None:
    return train_size(dataset, validation, **dict(options))


@cache
def _macs(
    model: str, model_options: Frozen, dataset: str, dataset_options: Frozen, count: CountMacs | None
) -> int | None:
    info = describe_dataset(dataset, **dict(dataset_options))
    architecture = _architecture(model_options)
    known = None if architecture else _table_macs(model, info)
    return count(model, dict(architecture), info) if known is None and count is not None else known


def _architecture(model_options: Frozen) -> Frozen:
    """Options that change its multiply-adds."""
    return tuple((key, value) for key, value in model_options if key not in NO_MACS)


def _table_macs(model: str, info: DataSetInfo) -> int | None:
    """From the shipped table, by any data set of the same input shape and number of classes."""
    for name in dataset_names():
        entry = _macs_table().get(f"{model} {name}")
        if entry is not None:
            other = describe_dataset(name)
            if (other.input_shape, other.num_classes) == (info.input_shape, info.num_classes):
                return entry
    return None


@cache
def _macs_table() -> dict[str, int]:
    return json.loads(MACS_TABLE.read_text(encoding="utf-8"))
