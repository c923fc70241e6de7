"""Whether methods can prune the layers of their networks, asked of networks that are built for it and not trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ..datasets.registry import describe
from ..methods.registry import create
from .errors import UserError
from .models.registry import create_model
from .networks import network_name
from .outside import Sizes, count_parameters
from .run import Run
from .sites import find_sites


def check_runs(runs: Iterable[Run]) -> dict[str, Sizes]:
    """The sizes of each network of the runs, by name. The global random state is left alone.

    Raises UserError for a network that cannot be built or has nothing to prune, and for one with a layer that the
    method of a run cannot prune, naming both.
    """
    networks: dict[str, nn.Module] = {}
    checked: set[tuple[object, ...]] = set()
    for run in runs:
        name = network_name(run)
        if name not in networks:
            networks[name] = build_network(run)
        combination = (name, run.method, run.method_options, run.sparsity)
        if combination not in checked:
            checked.add(combination)
            check_method(run, networks[name])
    return {name: count_parameters(network) for name, network in networks.items()}


def build_network(run: Run) -> nn.Module:
    """The network of a run, newly initialised, without published weights. Raises UserError if it has no weights."""
    info = describe(run.dataset, **dict(run.dataset_options))
    options = {key: value for key, value in run.model_options if key != "weights"}
    with torch.random.fork_rng(devices=[]):
        model = create_model(run.model, num_classes=info.num_classes, input_shape=info.input_shape, **options)
    if not find_sites(model):
        raise UserError(f"model {run.model!r} has no weights that can be pruned: no layer of a kind that is counted")
    return model


def check_method(run: Run, model: nn.Module) -> None:
    """Raises UserError naming the method and a layer that it cannot prune."""
    pruner = create(run.method, run.sparsity, dict(run.method_options))
    try:
        pruner.check_sites(model, tuple(site for site in find_sites(model) if site.is_trained))
    except (UserError, ValueError) as error:
        raise UserError(f"method {run.method!r} on {network_name(run)}: {error}") from error
