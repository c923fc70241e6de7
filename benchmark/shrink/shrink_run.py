"""The network of a stored run, made smaller: from the run's folder to a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...datasets.registry import describe
from ..api.errors import UserError
from ..models.count_macs import count_macs
from ..models.made_up_inputs import made_up_inputs
from ..runs.artifacts import load_weights
from ..runs.files import write_atomically
from ..runs.run import Run, from_dict
from ..runs.run_folder import RunFolder
from .architecture import Architecture, changed_layers
from .network import Shrunk, shrink
from .onnx_file import check_onnx_installed, onnx_file
from .stored import ONNX, save

COMPARED = 8
"""Random inputs on which the outputs before and after are compared."""


@dataclass(frozen=True)
class ShrunkRun:
    """What became of a run's network; `before` and `after` are parameters, multiply-adds and bytes of the weights.

    `onnx_batch`: the only number of inputs that the ONNX file takes at once, if there is one.
    """

    run: Run
    done: Shrunk
    before: dict[str, int]
    after: dict[str, int]
    onnx_batch: int | None

    def facts(self) -> dict[str, Any]:
        """As plain data: what the JSON beside the weights says."""
        left = {path: {"channels": count, "reason": reason} for path, (count, reason) in self.done.left.items()}
        return {
            "run": self.run.id, "method": self.run.method, "before": self.before, "after": self.after,
            "removed": dict(self.done.removed), "left": left, "largest_difference": self.done.difference,
        }  # fmt: skip


def shrink_run(folder: RunFolder, output: Path, *, with_onnx: bool = False) -> ShrunkRun:
    """Make the stored network of a run smaller, and write it to a folder.

    Raises UserError for a run that is not finished, that kept no weights, or of which nothing can be removed: then
    nothing is written. Damaged for files that are broken.
    """
    if with_onnx:
        check_onnx_installed()
    result = folder.read_result()
    if result is None:
        raise UserError(f"run {folder.path.name} is not finished: {folder.result_path} is missing")
    run = from_dict(result["run"])
    network, architecture = _network(run, folder, result)
    info = describe(run.dataset, **dict(run.dataset_options))
    example = made_up_inputs(info, COMPARED, torch.Generator().manual_seed(0))
    done = shrink(network, {}, example)
    if not done.removed:
        raise UserError(_nothing(run, done))
    architecture = Architecture(**{**vars(architecture), "layers": changed_layers(network, done.network)})
    onnx = onnx_file(done.network, architecture.input_shape) if with_onnx else None
    sizes = (_sizes(each, architecture.input_shape) for each in (network, done.network))
    shrunk = ShrunkRun(run, done, *sizes, onnx_batch=onnx.batch if onnx else None)
    save(output, done.network, architecture, shrunk.facts())
    if onnx is not None:
        write_atomically(output / ONNX, onnx.content)
    return shrunk


def _network(run: Run, folder: RunFolder, result: dict[str, Any]) -> tuple[nn.Module, Architecture]:
    """The network with the stored weights, in eval mode on the CPU."""
    facts = result.get("files", {}).get(folder.model_path.name)
    if facts is None and not (run.is_dense and folder.model_path.exists()):
        raise UserError(f"run {run.id} kept no weights: compute it with `prunebench run --keep-weights --recompute`")
    info = describe(run.dataset, **dict(run.dataset_options))
    options = {key: value for key, value in run.model_options if key != "weights"}
    architecture = Architecture(
        model=run.model, num_classes=info.num_classes, input_shape=tuple(info.input_shape), options=options, layers={}
    )
    state, network = load_weights(folder.model_path, facts), architecture.original()
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != shapes:
        raise UserError(f"run {run.id} ({run.method}) trained another network than {run.model}: it is small already")
    network.load_state_dict(state, assign=True)
    return network.eval(), architecture


def _nothing(run: Run, done: Shrunk) -> str:
    what = f"run {run.id} ({run.method}): nothing can be removed, so nothing is written"
    if not done.left:
        return f"{what}: no filter, neuron, head or rank is zero as a whole"
    path, (count, reason) = next(iter(done.left.items()))
    return (
        f"{what}: {len(done.left)} layers have filters without weights that stay, such as {count} of {path}: {reason}"
    )


def _sizes(network: nn.Module, input_shape: tuple[int, ...]) -> dict[str, int]:
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_adds": sum(count_macs(network, input_shape).values()),
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()),
    }
