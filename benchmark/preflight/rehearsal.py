"""Before anything runs: does every network of a study take its options, and every method its network?

Each combination is tried once, on networks that have shapes and no values; seeds and recipes of one length make no
difference. Importing this module imports no torch.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from ..api.errors import UserError
from ..runs.run import Run, derive_seed

if TYPE_CHECKING:
    from torch import nn

    from ..api.pruner import Context


def representatives(runs: Iterable[Run]) -> list[Run]:
    """One run of each combination that may be refused for a reason of its own."""
    return list({_combination(run): run for run in runs}.values())


def _combination(run: Run) -> Hashable:
    network = (run.dataset, run.dataset_options, run.model, run.model_options)
    return (*network, run.method, run.method_options, run.sparsity, run.recipe.epochs)


def rehearse(runs: Iterable[Run], *, reads_weights: bool = True) -> None:
    """Build each network on the meta device, create each method and let it check its network. Loads torch.

    `reads_weights`: look at stored weights that networks start from, too; they may lie on another machine.

    Raises UserError for the first thing that a run would be refused for, DataMissing for weights that are not there.
    """
    contexts: dict[Hashable, Context] = {}
    for run in representatives(runs):
        key = (run.dataset, run.dataset_options, run.model, run.model_options, run.recipe.epochs)
        if key not in contexts:
            contexts[key] = _sketch_context(run, reads_weights)
        _check(run, contexts[key])


def _check(run: Run, context: Context) -> None:
    from ...methods.registry import create

    pruner = create(run.method, run.sparsity, dict(run.method_options))
    try:
        pruner.check(context)
    except (ValueError, UserError) as error:
        options = "".join(f", {key}={value}" for key, value in run.model_options)
        where = f"at {run.sparsity * 100:g}% on {run.model}{options}"
        raise UserError(f"method {run.method!r} {where}: {error}") from error


def _sketch_context(run: Run, reads_weights: bool) -> Context:
    """What the method would be given, without values and without data."""
    import torch
    from torch.nn.functional import cross_entropy

    from ...datasets.registry import describe
    from ..api.masks import find_sites
    from ..api.pruner import Context
    from ..models.registry import sketch_model
    from ..training.loop import num_steps

    info = describe(run.dataset, **dict(run.dataset_options))
    build = functools.partial(
        sketch_model, run.model, num_classes=info.num_classes, input_shape=info.input_shape, reads_weights=reads_weights
    )

    @functools.cache
    def rebuild(**options: Any) -> nn.Module:
        return build(**{**dict(run.model_options), **options})

    model = rebuild()
    return Context(
        model=model,
        sites=find_sites(model),
        samples=_no_samples,
        loss=cross_entropy,
        macs=_count_macs(model, run.model, info.input_shape),
        input_shape=info.input_shape,
        num_classes=info.num_classes,
        device=torch.device("meta"),
        epochs=run.recipe.epochs,
        steps_per_epoch=num_steps(info.num_train, run.recipe.batch_size),
        generator=lambda purpose: torch.Generator().manual_seed(derive_seed(run.seed, "method", purpose)),
        rebuild=rebuild,
    )


def _count_macs(model: nn.Module, name: str, input_shape: tuple[int, ...]) -> dict[str, int]:
    """The first forward pass: a network that is too deep for its inputs shows it here."""
    from ..models.count_macs import count_macs

    try:
        return count_macs(model, input_shape)
    except RuntimeError as error:
        raise UserError(f"model {name!r} cannot take inputs of {input_shape}: {str(error).splitlines()[0]}") from error


def _no_samples(*_: object, **__: object) -> NoReturn:
    raise AssertionError("check looks at shapes; samples are there when a run begins")
