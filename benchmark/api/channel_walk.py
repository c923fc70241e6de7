"""Follows the channels of a network through its graph: who makes them, who reads them, and what they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from .channel_values import (
    NORMS,
    Channels,
    applied,
    combined,
    concatenated,
    dimensions,
    flattened,
    is_depthwise,
    is_whole_mean,
    layer_constants,
    normalised,
    zeros_only,
)
from .sites import PRUNABLE_LAYERS
from .traced_graph import shape_of, traced_nodes

_ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Sigmoid, nn.Tanh, nn.Identity,
)  # fmt: skip
_UNCHANGED = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
"""A constant stays what it is; dropout does nothing in eval mode."""
_MEANS = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_ACTIVATION_NAMES = {
    "relu", "relu_", "relu6", "leaky_relu", "elu", "silu", "gelu", "hardswish", "sigmoid", "tanh",
    "contiguous",
}  # fmt: skip
_UNCHANGED_NAMES = {"max_pool2d", "adaptive_avg_pool2d", "dropout", "dropout2d"}
_SHAPE_NAMES = {"getattr", "size", "dim"}


Kind = Literal["rows", "depthwise", "columns", "norm"]
"""How a layer takes part: it makes channels, passes them on one by one, reads them, or normalises them."""


@dataclass(frozen=True)
class Use:
    """A layer that takes part in channels; `ids` are those of its rows, columns or entries, in their order."""

    path: str
    kind: Kind
    ids: Tensor


@dataclass
class ChannelGraph:
    """The channels of a network.

    Attributes:
        inputs: the constants that each layer reads, by its path, in the order of the forward pass.
        uses: in the same order.
        pairs: ids that stand for the same channel, since values are added: (ids, ids).
        whole: ids that must stay, and why: they reach the output or an operation of unknown effect.
    """

    inputs: dict[str, Tensor] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    pairs: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    whole: list[tuple[Tensor, str]] = field(default_factory=list)
    num_ids: int = 0

    def new_ids(self, count: int) -> Tensor:
        self.num_ids += count
        return torch.arange(self.num_ids - count, self.num_ids)

    def use(self, path: str, kind: Kind, ids: Tensor) -> None:
        """Note a use; channels of a layer that is used again all stay."""
        again = [each for each in self.uses if each.path == path and each.kind == kind]
        self.uses.append(Use(path, kind, ids))
        self.whole += [(each.ids, f"are of {path}, which is used twice") for each in (*again, self.uses[-1]) if again]


def follow_channels(model: nn.Module, example: Tensor) -> ChannelGraph:
    """Follow the channels through a network, which stays as it was; it may be on the meta device.

    Args:
        example: a batch that the network takes; only its shape and type matter, and "meta" is a device for it.

    Raises:
        UserError: the network's graph cannot be traced.
    """
    nodes = traced_nodes(model, example)
    walk = _Walk(model, {str(node.target) for node in nodes if node.op == "get_attr"})
    with torch.no_grad():
        for node in nodes:
            walk.visit(node)
    return walk.found


class _Walk:
    """Visits the nodes in order and keeps what each holds."""

    def __init__(self, model: nn.Module, read_alone: set[str]) -> None:
        self.modules = dict(model.named_modules())
        self.found = ChannelGraph()
        self.values: dict[fx.Node, Channels] = {}
        self.shared = set(_shared(model, read_alone))

    def visit(self, node: fx.Node) -> None:
        if node.op == "call_module":
            result = self._module(node, self.modules[str(node.target)], str(node.target))
        elif node.op in ("call_function", "call_method"):
            result = self._function(node, getattr(node.target, "__name__", str(node.target)))
        else:
            result = None
        if result is not None:
            self.values[node] = result
        elif not _reads_shape(node):
            self._keep_whole(node)

    def _keep_whole(self, node: fx.Node) -> None:
        reason = "reach the output" if node.op == "output" else f"enter {node.name}"
        self.found.whole += [(value.ids, reason) for value in self._known(node.all_input_nodes)]

    def _known(self, nodes: Iterable[fx.Node]) -> list[Channels]:
        return [self.values[node] for node in nodes if node in self.values]

    def _module(self, node: fx.Node, module: nn.Module, path: str) -> Channels | None:
        if isinstance(module, PRUNABLE_LAYERS):
            return self._layer(node, module, path)
        value = self.values.get(node.all_input_nodes[0])
        if value is None:
            return None
        if isinstance(module, NORMS) and value.axis == 1:
            self.found.use(path, "norm", value.ids)
            return value.having(normalised(module, value.constants))
        if isinstance(module, _ACTIVATIONS):
            return value.having(module(value.constants.clone()))
        if isinstance(module, _UNCHANGED):
            return value
        if isinstance(module, _MEANS):
            return value.having(value.constants if is_whole_mean(module) else zeros_only(value.constants))
        if isinstance(module, nn.Flatten):
            return flattened(value, shape_of(node.all_input_nodes[0]), shape_of(node))
        return None

    def _layer(self, node: fx.Node, module: Any, path: str) -> Channels:
        axis = len(shape_of(node)) - 1 if isinstance(module, nn.Linear) else 1
        incoming = self.values.get(node.all_input_nodes[0])
        if incoming is not None and (incoming.axis != axis or not (_has_one_group(module) or is_depthwise(module))):
            self._keep_whole(node)
            incoming = None
        columns = module.weight.shape[1] * getattr(module, "groups", 1)
        varying = torch.full((columns,), torch.nan, dtype=torch.float64, device=module.weight.device)
        self.found.inputs[path] = varying if incoming is None else incoming.constants
        if incoming is not None and is_depthwise(module):
            ids = incoming.ids
            self.found.use(path, "depthwise", ids)
        else:
            ids = self._made(path, module, incoming)
        if path in self.shared:
            self.found.whole += [(each.ids, f"are of {path}, which shares its weight") for each in self.found.uses
                                 if each.path == path]  # fmt: skip
        return Channels(axis, layer_constants(module, self.found.inputs[path]), ids)

    def _made(self, path: str, module: Any, incoming: Channels | None) -> Tensor:
        """The ids of what a layer makes of what it reads."""
        ids = self.found.new_ids(len(module.weight))
        self.found.use(path, "rows", ids)
        if incoming is not None:
            self.found.use(path, "columns", incoming.ids)
        if is_depthwise(module):
            self.found.whole.append((ids, f"are of {path}, depthwise on channels that stay"))
        return ids

    def _function(self, node: fx.Node, name: str) -> Channels | None:
        inputs = self._known(node.all_input_nodes)
        if len(inputs) != len(node.all_input_nodes) or not inputs:
            return None
        value, shapes = inputs[0], [shape_of(each) for each in node.all_input_nodes]
        if name in ("add", "add_", "iadd", "mul") and len(node.args) == 2 and len(inputs) == 2:
            return self._together(name, *inputs) if shapes[0] == shapes[1] else None
        if name in ("cat", "concat"):
            parts: Any = node.args[0] if node.args else node.kwargs.get("tensors")
            if len(parts) != len(inputs):
                return None  # one of them twice
            return concatenated(inputs, node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0))
        if len(inputs) > 1:
            return None
        if name in _ACTIVATION_NAMES:
            return value.having(applied(node, value.constants))
        if name in _UNCHANGED_NAMES:
            return value
        if name == "avg_pool2d":
            return value.having(zeros_only(value.constants))
        if name == "mean" and len(shape_of(node)) > value.axis and value.axis == 1:
            return value if 1 not in dimensions(node, len(shapes[0])) else None
        return flattened(value, shapes[0], shape_of(node)) if name == "flatten" else None

    def _together(self, name: str, first: Channels, second: Channels) -> Channels | None:
        """A sum or a product, channel by channel."""
        if first.axis != second.axis:
            return None
        self.found.pairs.append((first.ids, second.ids))
        return first.having(combined(name, first, second))


def _shared(model: nn.Module, read_alone: set[str]) -> Iterator[str]:
    """Layers whose weight is in another layer as well, or is read from outside of the layer."""
    places: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, PRUNABLE_LAYERS):
            places.setdefault(id(module.weight), []).append(path)
    for paths in places.values():
        if len(paths) > 1 or any(f"{path}.weight" in read_alone for path in paths):
            yield from paths


def _has_one_group(layer: nn.Module) -> bool:
    return getattr(layer, "groups", 1) == 1


def _reads_shape(node: fx.Node) -> bool:
    return node.op in ("call_function", "call_method") and getattr(node.target, "__name__", node.target) in _SHAPE_NAMES
