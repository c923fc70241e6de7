"""Channels that can only be removed together: rows of the layers that write them, columns of those that read them.

The couplings are those of Torch-Pruning's dependency graph (Fang et al., 2023, arXiv 2301.12900).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .channel_values import NORMS, ChannelValues
from .errors import UserError
from .sites import PRUNABLE_LAYERS


@dataclass(frozen=True)
class Slice:
    """The part of one layer that belongs to the channels of a group.

    Attributes:
        path: of the module.
        axis: 0 for rows of a weight and entries of a batch norm, 1 for columns.
        indices: along that axis, and `channels`: the group's channel that each belongs to. Both (entries,).
    """

    path: str
    axis: int
    indices: Tensor
    channels: Tensor


@dataclass(frozen=True)
class Group:
    """Coupled channels. `whole` says why none of them may be removed; it is empty where they may."""

    root: str
    size: int
    slices: tuple[Slice, ...]
    whole: str = ""


def coupled_channels(model: nn.Module, example: Tensor, values: ChannelValues) -> list[Group]:
    """The groups of a network, in the order of their first layers. The network stays as it was.

    Args:
        example: a batch that the network takes, on its device, of which "meta" is one.
        values: of the same network; the layers that it keeps whole keep their groups whole.

    Raises:
        UserError: Torch-Pruning is not installed.
    """
    try:
        import torch_pruning
    except ImportError as error:
        raise UserError("Torch-Pruning is not installed: pip install 'prunebench[shrink]'") from error

    model = copy.deepcopy(model).eval().requires_grad_(True)
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(model, example, verbose=False)
    paths = {module: path for path, module in model.named_modules()}
    order = {path: index for index, path in enumerate(paths.values())}
    groups = [_group(graph, found, paths, values) for found in graph.get_all_groups()]
    return sorted(groups, key=lambda group: order[group.root])


def _group(graph: Any, found: Any, paths: dict[nn.Module, str], values: ChannelValues) -> Group:
    root, size, slices, whole = paths[found[0].dep.target.module], len(found[0].idxs), [], ""
    for item in found:
        module = item.dep.target.module
        if not isinstance(module, (*PRUNABLE_LAYERS, *NORMS)):
            # torch's layers of other kinds and single parameters; the graph's own operations have no weights
            whole = whole or _foreign(module, paths)
            continue
        is_written = graph.is_out_channel_pruning_fn(item.dep.handler)
        slices.append(
            Slice(paths[module], 0 if is_written else 1, torch.tensor(item.idxs), torch.tensor(item.root_idxs))
        )
    reasons = (values.whole.get(each.path, "") for each in slices if each.axis == 0)
    whole = whole or next((reason for reason in reasons if reason), "") or next(_flaws(slices, paths), "")
    return Group(root, size, tuple(slices), whole)


def _foreign(module: object, paths: dict[nn.Module, str]) -> str:
    if isinstance(module, nn.Parameter):
        return "meets a parameter outside of layers"
    return f"enters {paths[module]}" if isinstance(module, nn.Module) and module in paths else ""


def _flaws(slices: list[Slice], paths: dict[nn.Module, str]) -> Iterator[str]:
    """What keeps a group whole that the graph's own couplings do not say."""
    modules = {path: module for module, path in paths.items()}
    if all(each.axis == 0 for each in slices):
        yield "is read by no layer"
    for each in slices:
        module: Any = modules[each.path]
        groups = getattr(module, "groups", 1)
        if groups > 1 and not groups == module.in_channels == module.out_channels:
            yield f"has {each.path}, a grouped convolution"
        length = module.num_features if isinstance(module, NORMS) else module.weight.shape[each.axis]
        if int(each.indices.max()) >= length:
            yield f"meets channels of another number in {each.path}"
