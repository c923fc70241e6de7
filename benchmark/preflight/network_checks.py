"""Checks of a study's networks before anything runs: they are built on the meta device and not trained."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ...datasets.registry import describe
from ..api.errors import UserError
from ..api.sites import find_sites
from ..models.outside import Sizes, count_parameters
from ..models.registry import sketch_model
from ..runs.run import Run
from .networks import network_name
from .rehearsal import rehearse


def check_runs(runs: Iterable[Run]) -> dict[str, Sizes]:
    """The sizes of each network of the runs, by name, after a check that every method takes its network.

    Stored weights are not read. Raises UserError as `rehearse` does, and for a network that has nothing to prune.
    """
    runs = list(runs)
    sizes = sizes_of(runs)
    rehearse(runs, reads_weights=False)
    return sizes


def sizes_of(runs: Iterable[Run]) -> dict[str, Sizes]:
    """The sizes of each network of the runs, by name. The global random state is left alone.

    Raises UserError for a network that cannot be built or has nothing to prune.
    """
    representatives = {network_name(run): run for run in runs}
    return {name: count_parameters(_build(run)) for name, run in representatives.items()}


def _build(run: Run) -> nn.Module:
    info = describe(run.dataset, **dict(run.dataset_options))
    options = {key: value for key, value in run.model_options if key != "weights"}
    model = sketch_model(run.model, num_classes=info.num_classes, input_shape=info.input_shape, **options)
    if not find_sites(model):
        raise UserError(f"model {run.model!r} has no weights that can be pruned: no layer of a kind that is counted")
    return model
