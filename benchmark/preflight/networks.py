"""Sizes of the networks of a study, before anything runs: how many of their parameters the sparsity counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..api.errors import DataMissing
from ..models.outside import Sizes
from ..runs.run import Run

Options = tuple[tuple[str, Any], ...]

ACTIVATIONS_TABLE = Path(__file__).parents[1] / "models" / "activations.json"
"""What training keeps for the backward pass, of the same networks."""

SIZES_TABLE = Path(__file__).parents[1] / "models" / "parameters.json"
"""Sizes of networks without options, by model and data set, written by `prunebench.benchmark.models.macs_table`."""


def sizes_by_network(runs: Iterable[Run]) -> dict[str, Sizes]:
    """The sizes of each network of the runs, by its name with its options.

    A network that is not in the shipped table is built and counted, which loads torch; its methods are checked then,
    too. Raises UserError as `check_runs` does.
    """
    found: dict[str, Sizes] = {}
    uncounted: list[Run] = []
    for run in runs:
        known = _shipped(SIZES_TABLE, run)
        if known is None:
            uncounted.append(run)
        else:
            found[network_name(run)] = Sizes(**known)
    if uncounted:
        from .network_checks import check_runs

        found |= check_runs(uncounted)
    return found


def kept_by_training(run: Run) -> int:
    """Bytes that a training step on one device keeps for the backward pass, by the shipped table or counted here.

    Counting loads torch. Raises UserError for a network that cannot be built.
    """
    precision = "bfloat16" if run.recipe.precision == "bfloat16" else "float32"
    known = _shipped(ACTIVATIONS_TABLE, run)
    if known is None:
        constant, per_sample = _count_kept(run.model, run.model_options, run.dataset, run.dataset_options, precision)
    else:
        constant, per_sample = known[precision]
    return constant + per_sample * run.recipe.batch_size


@cache
def _count_kept(model: str, options: Options, dataset: str, dataset_options: Options, precision: str) -> list[int]:
    from ...datasets.registry import describe
    from ..models.saved_tensors import kept_bytes

    return list(kept_bytes(model, dict(options), describe(dataset, **dict(dataset_options)), precision=precision))


def missing_weights(runs: Iterable[Run]) -> list[str]:
    """A line for each file of weights that the runs start from and that is not on this machine."""
    found: dict[str, None] = {}
    for name, weights in {(run.model, weights) for run in runs if (weights := dict(run.model_options).get("weights"))}:
        from ..models.weights import find_weights

        try:
            find_weights(name, weights)
        except DataMissing as error:
            found[str(error)] = None
    return sorted(found)


def _shipped(path: Path, run: Run) -> Any:
    """What a shipped table says of the run's network; None where it has it not, or options make it another one."""
    known = _table(path).get(f"{run.model} {run.dataset}")
    return None if known is None or run.model_options or not _has_usual_shape(run) else known


def _has_usual_shape(run: Run) -> bool:
    """Whether the data's options keep the shape of inputs and the number of classes; a limit on samples does."""
    from ...datasets.registry import describe

    usual, own = describe(run.dataset), describe(run.dataset, **dict(run.dataset_options))
    return (usual.input_shape, usual.num_classes) == (own.input_shape, own.num_classes)


def network_name(run: Run) -> str:
    """`convnet-small on digits`, with the options of the network and of the data."""
    return f"{_named(run.model, run.model_options)} on {_named(run.dataset, run.dataset_options)}"


def _named(name: str, options: Sequence[tuple[str, Any]]) -> str:
    return f"{name} {json.dumps(dict(options))}" if options else name


def warnings(sizes: dict[str, Sizes]) -> list[str]:
    """One line for each network with many parameters that sparsity does not count."""
    found = [(name, each.warning()) for name, each in sizes.items()]
    return [f"warning: {name}: {warning}" for name, warning in found if warning is not None]


@cache
def _table(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
