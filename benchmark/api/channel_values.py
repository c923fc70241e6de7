"""What is known of each channel of a network before it sees an input: a constant, or a value that varies.

Follows the network's graph in eval mode. A filter without weights gives its bias everywhere, batch norm and activations
turn that into another constant, and a layer that reads only constants gives one. Nothing is estimated from inputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError

from .errors import UserError
from .sites import PRUNABLE_LAYERS, prunable_names

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
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


@dataclass(frozen=True)
class Channels:
    """What a value of the graph holds along its channel axis.

    Attributes:
        axis: of the tensor.
        constants: float64, (channels,): what a channel is everywhere, NaN where it varies.
        sources: paths of the layers that wrote the channels.
    """

    axis: int
    constants: Tensor
    sources: frozenset[str]


@dataclass
class ChannelValues:
    """Of a network: the constants that each layer reads, by its path, and the layers whose channels all stay.

    `whole` says why: their channels reach the output or an operation of unknown effect, or the layer is used twice.
    """

    inputs: dict[str, Tensor] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)


class _Tracer(fx.Tracer):
    """Modules with prunable tensors of their own (FastGRNN's cell) are not looked into."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return bool(prunable_names(m)) or super().is_leaf_module(m, module_qualified_name)


class _Shapes(fx.Interpreter):
    """Notes the shape of what each node gives."""

    extra_traceback = False

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["shape"] = result.shape
        return result


def channel_values(model: nn.Module, example: Tensor) -> ChannelValues:
    """Follow the channels through a network, which stays as it was; it may be on the meta device.

    Args:
        example: a batch that the network takes; only its shape and type matter, and "meta" is a device for it.

    Raises:
        UserError: the network's graph cannot be traced.
    """
    sketch = without_values(model).eval()
    walk = _Walk(model)
    try:
        traced = fx.GraphModule(sketch, _Tracer().trace(sketch))
        with torch.no_grad():
            _Shapes(traced).run(torch.empty_like(example, device="meta"))
    except (TraceError, TypeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"cannot follow the channels through {type(model).__name__}: {reason}") from error
    walk = _Walk(model)
    with torch.no_grad():
        for node in traced.graph.nodes:
            walk.visit(node)
    return walk.found


def without_values(model: nn.Module) -> nn.Module:
    """A copy on the meta device. A tracer refers to itself: what it traces stays until Python looks for cycles."""
    shapes: dict[int, object] = {id(each): torch.empty_like(each, device="meta") for each in model.buffers()}
    for each in model.parameters():
        shapes[id(each)] = nn.Parameter(torch.empty_like(each, device="meta"), each.requires_grad)
    return copy.deepcopy(model, shapes)


def is_depthwise(layer: Any) -> bool:
    """A convolution that passes each channel on by itself: as many groups as inputs and outputs."""
    groups = getattr(layer, "groups", 1)
    return groups > 1 and groups == layer.in_channels == layer.out_channels


class _Walk:
    """Visits the nodes in order and keeps what each holds."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = dict(model.named_modules())
        self.found = ChannelValues()
        self.values: dict[fx.Node, Channels] = {}
        uses: dict[int, list[str]] = {}
        for path, module in model.named_modules(remove_duplicate=False):
            if isinstance(module, PRUNABLE_LAYERS):
                uses.setdefault(id(module.weight), []).append(path)
        self.shared = {path for paths in uses.values() if len(paths) > 1 for path in paths}

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
        reason = "reaches the output" if node.op == "output" else f"enters {node.name}"
        for value in self._known(node.all_input_nodes):
            self.found.whole |= dict.fromkeys(value.sources, reason)

    def _known(self, nodes: Iterable[fx.Node]) -> list[Channels]:
        return [self.values[node] for node in nodes if node in self.values]

    def _module(self, node: fx.Node, module: nn.Module, path: str) -> Channels | None:
        if isinstance(module, PRUNABLE_LAYERS):
            return self._layer(node, module, path)
        value = self.values.get(node.all_input_nodes[0])
        if value is None:
            return None
        if isinstance(module, NORMS) and value.axis == 1:
            return _with(value, _normalised(module, value.constants))
        if isinstance(module, _ACTIVATIONS):
            return _with(value, module(value.constants.clone()))
        if isinstance(module, _UNCHANGED):
            return value
        if isinstance(module, _MEANS):
            return _with(value, value.constants if _is_whole_mean(module) else _zeros_only(value.constants))
        if isinstance(module, nn.Flatten):
            return _flattened(value, _shape(node.all_input_nodes[0]), _shape(node))
        return None

    def _layer(self, node: fx.Node, module: Any, path: str) -> Channels:
        self._check_single_use(node, path)
        shape, incoming = _shape(node), self.values.get(node.all_input_nodes[0])
        axis = len(shape) - 1 if isinstance(module, nn.Linear) else 1
        columns = module.weight.shape[1] * getattr(module, "groups", 1)
        constants = torch.full((columns,), torch.nan, dtype=torch.float64, device=module.weight.device)
        if incoming is not None:
            if incoming.axis == axis and (is_depthwise(module) or getattr(module, "groups", 1) == 1):
                constants = incoming.constants
            else:
                self._keep_whole(node)
        self.found.inputs[path] = constants
        sources = {path, *(incoming.sources if incoming is not None and is_depthwise(module) else ())}
        if is_depthwise(module) and incoming is None:
            self.found.whole[path] = "is depthwise on channels that stay"
        return Channels(axis, layer_constants(module, constants), frozenset(sources))

    def _check_single_use(self, node: fx.Node, path: str) -> None:
        if path in self.found.inputs or path in self.shared:
            self.found.whole[path] = "is used more than once"
            self._keep_whole(node)

    def _function(self, node: fx.Node, name: str) -> Channels | None:
        inputs = self._known(node.all_input_nodes)
        if len(inputs) != len(node.all_input_nodes) or not inputs:
            return None
        value, shapes = inputs[0], [_shape(each) for each in node.all_input_nodes]
        if name in ("add", "add_", "iadd", "mul") and len(node.args) == 2 and len(inputs) == 2:
            return _combined(name, *inputs) if shapes[0] == shapes[1] else None
        if name in ("cat", "concat"):
            parts: Any = node.args[0] if node.args else node.kwargs.get("tensors")
            if len(parts) != len(inputs):
                return None  # one of them twice
            return _concatenated(inputs, node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0))
        if len(inputs) > 1:
            return None
        if name in _ACTIVATION_NAMES:
            return _with(value, _applied(node, value.constants))
        if name in _UNCHANGED_NAMES:
            return value
        if name == "avg_pool2d":
            return _with(value, _zeros_only(value.constants))
        if name == "mean" and len(_shape(node)) > value.axis and value.axis == 1:
            return value if 1 not in _dimensions(node, len(shapes[0])) else None
        return _flattened(value, shapes[0], _shape(node)) if name == "flatten" else None


def layer_constants(layer: Any, inputs: Tensor) -> Tensor:
    """What a layer's outputs are, (rows,), NaN where they vary, from what its inputs are.

    An output is constant if its row has no weight on inputs that vary. Where a convolution pads, a constant that is not
    zero ends at the border, so for such a layer it counts as one that varies.
    """
    groups = getattr(layer, "groups", 1)
    weight = by_channel(layer.weight).double().unflatten(0, (groups, -1))  # (groups, rows, columns, places)
    known = inputs.view(groups, 1, -1)
    if is_padded(layer):
        known = _zeros_only(known)
    varies = (weight.ne(0).any(dim=3) & known.isnan()).any(dim=2)
    out = (weight.sum(dim=3) * known.nan_to_num()).sum(dim=2)
    if layer.bias is not None:
        out = out + layer.bias.detach().double().view(groups, -1)
    return out.masked_fill(varies, torch.nan).flatten()


def by_channel(weight: Tensor) -> Tensor:
    """The weight of a convolution or of a linear layer as (rows, columns, places); a linear layer has one place."""
    return weight.detach().reshape(*weight.shape[:2], -1)


def is_padded(layer: nn.Module) -> bool:
    """Whether a layer surrounds its input with zeros."""
    padding = getattr(layer, "padding", 0)
    has_any = padding != "valid" if isinstance(padding, str) else padding not in (0, (0,), (0, 0), (0, 0, 0))
    return has_any and getattr(layer, "padding_mode", "zeros") == "zeros"


def _reads_shape(node: fx.Node) -> bool:
    return node.op in ("call_function", "call_method") and getattr(node.target, "__name__", node.target) in _SHAPE_NAMES


def _with(value: Channels, constants: Tensor) -> Channels:
    return Channels(value.axis, constants, value.sources)


def _zeros_only(constants: Tensor) -> Tensor:
    return constants.masked_fill(constants != 0, torch.nan)


def _normalised(norm: Any, constants: Tensor) -> Tensor:
    """By the running statistics; a scale of zero gives the shift, whatever comes in. Without statistics all varies."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return torch.full_like(constants, torch.nan)
    out = (constants - mean.double()) / (variance.double() + norm.eps).sqrt()
    if norm.weight is None:
        return out
    return torch.where(norm.weight == 0, norm.bias.double(), out * norm.weight.double() + norm.bias.double())


def _applied(node: fx.Node, constants: Tensor) -> Tensor:
    """An activation of the graph, of the constants; NaN stays NaN."""
    if node.op == "call_method":
        return getattr(constants.clone(), str(node.target))(*node.args[1:], **node.kwargs)
    assert callable(node.target)
    function: Callable[..., Tensor] = node.target
    return function(constants.clone(), *node.args[1:], **{k: v for k, v in node.kwargs.items() if k != "input"})


def _is_whole_mean(module: Any) -> bool:
    """Whether a pooling averages values of the plane only, none of a border."""
    return not getattr(module, "ceil_mode", False) and getattr(module, "padding", 0) in (0, (0,), (0, 0))


def _combined(name: str, first: Channels, second: Channels) -> Channels | None:
    """A sum is constant where both parts are, a product also where one is zero."""
    if first.axis != second.axis:
        return None
    a, b = first.constants, second.constants
    constants = torch.where((a == 0) | (b == 0), 0.0, a * b) if name == "mul" else a + b
    return Channels(first.axis, constants, first.sources | second.sources)


def _concatenated(parts: list[Channels], axis: Any) -> Channels | None:
    if any(part.axis != axis for part in parts):
        return None
    sources = frozenset[str]().union(*(part.sources for part in parts))
    return Channels(axis, torch.cat([part.constants for part in parts]), sources)


def _dimensions(node: fx.Node, rank: int) -> set[int]:
    argument: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    axes = range(rank) if argument is None else [argument] if isinstance(argument, int) else argument
    return {axis % rank for axis in axes}


def _flattened(value: Channels, before: torch.Size, after: torch.Size) -> Channels | None:
    """All but the batch in one axis: each channel takes as many columns as it has pixels."""
    if value.axis != 1 or len(after) != 2 or before[0] != after[0]:
        return None
    return _with(value, value.constants.repeat_interleave(after[1] // before[1]))


def _shape(node: fx.Node) -> torch.Size:
    return node.meta.get("shape", torch.Size())
