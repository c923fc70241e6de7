"""The network of a stored run, or of a release of networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...datasets.registry import describe as describe_dataset
from ...methods.registry import create, describe
from ..api.errors import Damaged, UserError
from ..api.pruner import Context
from ..api.sites import find_sites
from ..models.registry import create_model
from ..release.names import is_name
from ..release.source import open_network
from ..runs.artifacts import load_masks, load_weights
from ..runs.run import Run, from_dict
from ..runs.run_folder import RunFolder
from ..runs.store import Store
from ..training.context import method_generator


class Loaded(NamedTuple):
    """A finished network of a run.

    Attributes:
        model: in eval mode, with its final weights; pruned ones are zero.
        masks: by the name of each pruned tensor, a bool tensor of its shape, True = kept; of a method without masks,
            the weights that are not zero.
        result: all that `result.json` records of the run, as plain data.
    """

    model: nn.Module
    masks: dict[str, Tensor]
    result: dict[str, Any]


def load_pruned(
    run: str | Path,
    *,
    results: str | Path = "results",
    release: str | Path | None = None,
    device: str | torch.device = "cpu",
) -> Loaded:
    """The network of a stored run, or one of a release by its name, as its training left it.

        model, masks, result = prunebench.load_pruned("3f2a90c1d2e4")
        model, masks, result = prunebench.load_pruned("digits/convnet-small/global_mp/95/0", release="networks")

    Args:
        run: its id or the beginning of one (column `id` of `load_results`), STUDY/ID, or the path of its folder. Or
            the name of a network in a release: DATASET/NETWORK/METHOD/SPARSITY/SEED. A method, model or data set of
            one's own must be there: `add_plugin`.
        results: the results folder, for an id.
        release: for a name, the folder that `prunebench export-zoo` wrote, or a URL at which its files are; else
            $PRUNEBENCH_RELEASE. Files of a URL are fetched once, and kept in $PRUNEBENCH_CACHE or ~/.cache/prunebench.
        device: where the network is to be.

    Raises:
        UserError: no such run or network, a run without a result or whose weights were not kept, code that builds
            another network now, or an address that cannot be reached. Its subclasses Damaged and DataDamaged: a file
            that is missing or is not the one of the result or the index.
    """
    folder, result = _opened(run, Path(results), release)
    described = from_dict(result["run"])
    if not folder.model_path.exists():
        raise UserError(_not_kept(folder, described))
    model = _network(described, result)
    files = result.get("files", {})
    try:
        model.load_state_dict(load_weights(folder.model_path, files.get(folder.model_path.name)))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"run {described.id}: the weights do not fit network {described.model!r}: {reason}") from error
    facts = files.get(folder.masks_path.name)
    masks = {site.name: site.weight.detach() != 0 for site in find_sites(model)}
    if facts is not None:
        masks = load_masks(folder.masks_path, facts)
    target = torch.device(device)
    return Loaded(model.to(target).eval(), {name: mask.to(target) for name, mask in masks.items()}, result)


def _opened(run: str | Path, results: Path, release: str | Path | None) -> tuple[RunFolder, dict[str, Any]]:
    """The folder that has the weights, and the result."""
    if release is not None or (is_name(str(run)) and not Path(run).is_dir()):
        return open_network(str(run), release)
    folder = _folder(run, results)
    result = folder.read_result()
    if result is None:
        raise UserError(f"run {folder.path.name} has no result: it is {folder.status().state}")
    return folder, result


def _folder(run: str | Path, results: Path) -> RunFolder:
    path = Path(run)
    if path.is_dir():
        if not (path / "run.json").exists():
            raise UserError(f"{path} is not the folder of a run: it has no run.json")
        return RunFolder(path.absolute())
    return Store(results).find_one(str(run))


def _not_kept(folder: RunFolder, run: Run) -> str:
    if run.is_dense:
        return str(Damaged(folder.model_path, "it is missing; `prunebench run` computes it again where a run needs it"))
    return (
        f"run {run.id} has no kept weights: remove {folder.path} and compute it again with "
        f"`prunebench run {folder.study} --keep-weights`, or keep_weights=True of prunebench.run"
    )


def _network(run: Run, result: dict[str, Any]) -> nn.Module:
    """A network of the shape that the finished run has; its values mean nothing."""
    facts = result["data"].get("facts", {})
    shape, classes = facts.get("input_shape"), facts.get("num_classes")
    if shape is None or classes is None:
        info = describe_dataset(run.dataset, **dict(run.dataset_options))
        shape, classes = info.input_shape, info.num_classes
    options = {key: value for key, value in run.model_options if key != "weights"}

    def build(**others: Any) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return create_model(run.model, num_classes=classes, input_shape=tuple(shape), **{**options, **others})

    model = build()
    if describe(run.method).keeps_network:
        return model
    recipe = run.recipe
    context = Context(
        model=model, sites=find_sites(model), samples=_no_samples, loss=nn.functional.cross_entropy, macs={},
        input_shape=tuple(shape), num_classes=classes, device=torch.device("cpu"), epochs=recipe.epochs,
        steps_per_epoch=1, generator=method_generator(run.seed), rebuild=build,
    )  # fmt: skip
    return create(run.method, run.sparsity, dict(run.method_options)).attach(context)


def _no_samples(num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0) -> Any:
    raise UserError("the network of a method that builds it from training samples cannot be loaded without them")
