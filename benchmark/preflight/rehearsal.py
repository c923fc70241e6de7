"""Try before anything runs whether every network takes its options, and every method its network.

Each combination is tried once, on networks that have shapes and no values. Seeds make no difference, and of a recipe
only the number of epochs, the precision, which not every device has, and `recalibrate_bn` do. Importing this module
imports no torch.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from ..api.errors import UserError, first_line
from ..runs.run import Run

if TYPE_CHECKING:
    from torch import nn

    from ..api.pruner import Context


def representatives(runs: Iterable[Run]) -> list[Run]:
    """One run of each combination that could be refused for a reason of its own."""
    return list({_combination(run): run for run in runs}.values())


def _combination(run: Run) -> Hashable:
    network = (run.dataset, run.dataset_options, run.model, run.model_options)
    return (
        *network,
        run.method,
        run.method_options,
        run.sparsity,
        run.recipe.epochs,
        run.recipe.precision,
        run.recipe.recalibrate_bn,
    )


def rehearse(runs: Iterable[Run], *, reads_weights: bool = True) -> None:
    """Build each network on the meta device, create each method and let it check its network. Loads torch.

    `reads_weights`: also look at stored weights that networks start from. Leave it off where the weights may be on
    another machine.

    Raises UserError for the first reason to refuse a run, DataMissing for weights that are missing.
    """
    contexts: dict[Hashable, Context] = {}
    for run in representatives(runs):
        key = (run.dataset, run.dataset_options, run.model, run.model_options, run.recipe.epochs)
        if key not in contexts:
            contexts[key] = _sketch_context(run, reads_weights)
        _check(run, contexts[key])


def _check(run: Run, context: Context) -> None:
    from ...methods.registry import create
    from ..training.batch_norm import check_recalibration

    check_recalibration(context.model, run.recipe)
    pruner = create(run.method, run.sparsity, dict(run.method_options))
    try:
        pruner.check(context)
    except (ValueError, UserError) as error:
        options = "".join(f", {key}={value}" for key, value in run.model_options)
        where = f"at {run.sparsity * 100:g}% on {run.model}{options}"
        raise UserError(f"method {run.method!r} {where}: {error}") from error


def _sketch_context(run: Run, reads_weights: bool) -> Context:
    """The context of the run on a network without values and without data."""
    import torch

    from ...datasets.registry import describe
    from ..api.data import Data
    from ..models.made_up_inputs import check_outputs
    from ..models.registry import sketch_model
    from ..training.context import make_context

    info = describe(run.dataset, **dict(run.dataset_options))
    nothing: Any = _Unread(info.num_train)
    data = Data(
        name=run.dataset, train=nothing, validation=nothing, test=nothing, input_shape=info.input_shape,
        num_classes=info.num_classes, fingerprint="",
    )  # fmt: skip
    build = functools.partial(
        sketch_model, run.model, num_classes=info.num_classes, input_shape=info.input_shape, reads_weights=reads_weights
    )

    @functools.cache
    def rebuild(**options: Any) -> nn.Module:
        return build(**{**dict(run.model_options), **options})

    model = rebuild()
    try:
        check_outputs(run.model, model, info)
        return make_context(
            model, data, recipe=run.recipe, seed=run.seed, device=torch.device("meta"), rebuild=rebuild
        )  # fmt: skip
    except RuntimeError as error:
        # Counting multiply-adds is the first forward pass: a network too deep for its inputs fails here.
        reason = first_line(error)
        raise UserError(f"model {run.model!r} cannot take inputs of {info.input_shape}: {reason}") from error


class _Unread:
    """A training split of which only the length is known."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError("check looks at shapes; there are samples only when a run begins")
