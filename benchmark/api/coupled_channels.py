"""Channels that can only be removed together: rows of the layers that write them, columns of those that read them.

The couplings are those of Torch-Pruning's dependency graph (Fang et al., 2023, arXiv 2301.12900).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .channel_values import NORMS, ChannelValues, is_depthwise, without_values
from .errors import UserError
from .sites import PRUNABLE_LAYERS

_FAILURES = (RuntimeError, ValueError, AttributeError, KeyError, TypeError, IndexError, AssertionError)
"""What Torch-Pruning raises for networks that it cannot follow."""

Kind = Literal["rows", "depthwise", "columns", "norm"]


@dataclass(frozen=True)
class Slice:
    """The part of one layer that belongs to the channels of a group.

    Attributes:
        path: of the module.
        kind: rows of a layer that makes the channels, rows of a depthwise convolution that passes them on, columns of
            a layer that reads them, or entries of a batch norm.
        indices: of these rows, columns or entries, and `channels`: the channel of the group that each belongs to. Both
            (entries,), on the CPU.
    """

    path: str
    kind: Kind
    indices: Tensor
    channels: Tensor

    @property
    def axis(self) -> int:
        """Of the weight."""
        return 1 if self.kind == "columns" else 0

    @property
    def name(self) -> str:
        """Of the weight: the site's."""
        return f"{self.path}.weight".lstrip(".")


@dataclass(frozen=True)
class Group:
    """Coupled channels.

    Attributes:
        root: path of the first layer, in the order of the forward pass, that makes them; the channels are its rows.
        size: number of channels.
        blocks: groups of that layer, a convolution: each must keep as many channels as the others.
        whole: why none of them may be removed; empty where they may.
    """

    root: str
    size: int
    slices: tuple[Slice, ...]
    blocks: int = 1
    whole: str = ""

    def of_kind(self, *kinds: Kind) -> list[Slice]:
        return [each for each in self.slices if each.kind in kinds]


def coupled_channels(model: nn.Module, example: Tensor, values: ChannelValues) -> list[Group]:
    """The groups of a network in the order of its forward pass. The network stays as it was.

    Args:
        example: a batch that the network takes; only its shape and type matter, and "meta" is a device for it.
        values: of the same network; the layers that it keeps whole keep their groups whole.

    Raises:
        UserError: Torch-Pruning is not installed, or cannot follow the network.
    """
    try:
        import torch_pruning
    except ImportError as error:
        raise UserError("Torch-Pruning is not installed: pip install 'prunebench[shrink]'") from error

    sketch = without_values(model).eval().requires_grad_(True)
    graph = torch_pruning.DependencyGraph()
    try:
        with torch.enable_grad():
            graph.build_dependency(sketch, torch.empty_like(example, device="meta"), verbose=False)
        found = [_group(graph, each, sketch, values) for each in graph.get_all_groups()]
    except _FAILURES as error:
        reason = (str(error).splitlines() or [""])[0]
        name = type(model).__name__
        raise UserError(f"Torch-Pruning cannot follow {name}: {type(error).__name__} {reason}") from error
    order = {path: index for index, path in enumerate(values.inputs)}
    return sorted((group for group in found if group.root in order), key=lambda group: order[group.root])


def _group(graph: Any, found: Any, model: nn.Module, values: ChannelValues) -> Group:
    paths: dict[Any, str] = {module: path for path, module in model.named_modules()}
    slices, whole = [], ""
    for item in found:
        module = item.dep.target.module
        if not isinstance(module, (*PRUNABLE_LAYERS, *NORMS)):
            # torch's layers of other kinds and single parameters; the graph's own operations have no weights
            whole = whole or _foreign(module, paths)
            continue
        kind = _kind(module, is_written=graph.is_out_channel_pruning_fn(item.dep.handler))
        indices, order = torch.tensor(item.idxs).sort()
        slices.append(Slice(paths[module], kind, indices, torch.tensor(item.root_idxs)[order]))
    places = {path: place for place, path in enumerate(paths.values())}
    slices.sort(key=lambda each: (places[each.path], each.axis))
    layers: dict[str, Any] = {each.path: model.get_submodule(each.path) for each in slices}
    whole = whole or next(_reasons(slices, layers, values), "")
    order = {path: index for index, path in enumerate(values.inputs)}
    rows = [each for each in slices if each.kind == "rows"] or slices[:1]
    root = min(rows, key=lambda each: order.get(each.path, len(order)))
    return Group(root.path, len(found[0].idxs), tuple(slices), getattr(layers[root.path], "groups", 1), whole)


def _kind(module: nn.Module, *, is_written: bool) -> Kind:
    if isinstance(module, NORMS):
        return "norm"
    if is_depthwise(module):
        return "depthwise"
    return "rows" if is_written else "columns"


def _foreign(module: object, paths: Mapping[Any, str]) -> str:
    if isinstance(module, nn.Parameter):
        return "meets a parameter outside of layers"
    return f"enters {paths[module]}" if isinstance(module, nn.Module) and module in paths else ""


def _reasons(slices: Sequence[Slice], layers: Mapping[str, Any], values: ChannelValues) -> Iterator[str]:
    """Why a group stays whole, beside what the graph's own couplings say."""
    yield from (values.whole[each.path] for each in slices if each.axis == 0 and each.path in values.whole)
    if all(each.kind != "columns" for each in slices):
        yield "is read by no layer"
    rows = [each for each in slices if each.kind == "rows"]
    if not rows:
        yield "is made by no layer"
    for each in slices:
        layer = layers[each.path]
        if each.kind in ("rows", "columns") and getattr(layer, "groups", 1) > 1 and (each.axis == 1 or len(rows) > 1):
            yield f"has {each.path}, a grouped convolution"
        length = layer.num_features if each.kind == "norm" else layer.weight.shape[each.axis]
        if int(each.indices.max()) >= length:
            yield f"meets channels of another number in {each.path}"
