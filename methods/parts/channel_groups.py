"""Which filters of a network can be removed, and what goes with them: channels followed through its graph."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import fx, nn
from torch.fx.proxy import TraceError

from ...benchmark.api.errors import UserError
from ...benchmark.api.sites import PRUNABLE_LAYERS, Site

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_CHANNELWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Sigmoid, nn.Tanh, nn.Identity,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
_CHANNELWISE_NAMES = {
    "relu", "relu_", "relu6", "leaky_relu", "elu", "silu", "gelu", "hardswish", "sigmoid", "tanh", "dropout",
    "dropout2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "contiguous",
}  # fmt: skip
_SPATIAL_MEANS = ("(2, 3)", "[2, 3]", "(-2, -1)", "[-2, -1]", "(-1, -2)", "[-1, -2]")


@dataclass
class ChannelGroup:
    """Channels that one layer produces. Removing channel c removes row c of `outputs` and column c of `consumers`.

    Attributes:
        producer: the layer whose filters they are, by site name.
        size: number of channels.
        outputs: layers with a row a channel: the producer and depthwise convolutions behind it.
        norms: paths of the batch norms with an entry a channel.
        consumers: layers that read the channels along axis 1, with how many columns a channel takes there.
        blocks: groups of the producer, a convolution, each of which must keep as many channels as the others.
    """

    producer: str
    size: int
    outputs: list[str] = field(default_factory=list)
    norms: list[str] = field(default_factory=list)
    consumers: dict[str, int] = field(default_factory=dict)
    blocks: int = 1
    is_fixed: bool = False


@dataclass(frozen=True)
class _Value:
    """What a node of the graph carries: a group's channels along axis 1, spread over the last axis or not."""

    group: ChannelGroup
    is_flat: bool


def find_channel_groups(model: nn.Module, sites: Iterable[Site]) -> list[ChannelGroup]:
    """The groups of which channels can be removed: all that they reach are layers that read them one by one.

    Channels that meet others in a sum (residual streams), that are padded, reshaped or concatenated, that reach the
    output, or whose layer is called twice or shares its weight stay whole. Raises UserError for a network whose graph
    cannot be traced.
    """
    try:
        graph = fx.symbolic_trace(_without_values(model)).graph
    except (TraceError, TypeError, RuntimeError) as error:
        raise UserError(f"cannot follow the channels through {type(model).__name__}: {error}") from error
    follower = _Follower(model, {id(module): site for site in sites for module, _ in site.uses})
    for node in graph.nodes:
        follower.visit(node)
    return [group for group in follower.groups if not group.is_fixed and group.consumers]


def _without_values(model: nn.Module) -> nn.Module:
    """A copy on the meta device. A tracer refers to itself: what it traces stays until Python looks for cycles."""
    shapes: dict[int, object] = {id(each): torch.empty_like(each, device="meta") for each in model.buffers()}
    for each in model.parameters():
        shapes[id(each)] = nn.Parameter(torch.empty_like(each, device="meta"), each.requires_grad)
    return copy.deepcopy(model, shapes)


class _Follower:
    """Visits the nodes in order and keeps what each carries."""

    def __init__(self, model: nn.Module, sites: dict[int, Site]) -> None:
        self.modules = dict(model.named_modules())
        self.sites = sites
        self.groups: list[ChannelGroup] = []
        self.values: dict[fx.Node, _Value] = {}
        self.called: dict[int, list[ChannelGroup]] = {}

    def visit(self, node: fx.Node) -> None:
        if node.op == "call_module":
            self._visit_module(node, self.modules[str(node.target)], str(node.target))
        elif node.op in ("call_function", "call_method") and self._keeps_channels(node):
            self._pass(node, is_flat=self._flattens(node))
        else:
            self._fix_inputs(node)

    def _visit_module(self, node: fx.Node, module: nn.Module, path: str) -> None:
        incoming = self._incoming(node)
        if isinstance(module, PRUNABLE_LAYERS) and id(module) in self.sites:
            self._visit_layer(node, module, incoming)
        elif isinstance(module, _NORMS):
            if incoming is not None:
                incoming.group.norms.append(path)
            self._pass(node)
        elif isinstance(module, _CHANNELWISE):
            self._pass(node)
        elif isinstance(module, nn.Flatten) and module.start_dim == 1 and module.end_dim == -1:
            self._pass(node, is_flat=True)
        else:
            self._fix_inputs(node)

    def _visit_layer(self, node: fx.Node, module: nn.Module, incoming: _Value | None) -> None:
        site = self.sites[id(module)]
        before = [incoming.group] if incoming is not None else []
        size = site.weight.shape[0]
        if site.is_depthwise and incoming is not None and size == incoming.group.size:
            incoming.group.outputs.append(site.name)
            self.values[node] = incoming
            after = incoming.group
        else:
            # A depthwise row is tied to its input channel; where that has to stay, so has the row.
            blocks = getattr(module, "groups", 1)
            after = ChannelGroup(site.name, size, [site.name], blocks=blocks, is_fixed=site.is_depthwise)
            self.groups.append(after)
            self.values[node] = _Value(after, isinstance(module, nn.Linear))
            if incoming is not None:
                self._consume(incoming, site)
        # A layer that is called twice, or whose weight another module uses, ties its channels: all of them stay.
        for group in (*before, after, *self.called.get(id(module), ())):
            group.is_fixed |= id(module) in self.called or len(site.uses) > 1
        self.called[id(module)] = [*before, after]

    def _consume(self, incoming: _Value, site: Site) -> None:
        columns, size = site.weight.shape[1], incoming.group.size
        is_linear = isinstance(site.module, nn.Linear)
        if getattr(site.module, "groups", 1) != 1 or columns % size or is_linear != incoming.is_flat:
            incoming.group.is_fixed = True
        incoming.group.consumers[site.name] = columns // size

    def _keeps_channels(self, node: fx.Node) -> bool:
        name = getattr(node.target, "__name__", str(node.target))
        if len(node.all_input_nodes) != 1 or node.target is operator.getitem:
            return False
        return name in _CHANNELWISE_NAMES or self._flattens(node)

    def _flattens(self, node: fx.Node) -> bool:
        """The mean over the plane, or flattening all but the batch: channels are then along the last axis."""
        name = getattr(node.target, "__name__", str(node.target))
        argument = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("start_dim"))
        if name == "mean":
            return str(argument) in _SPATIAL_MEANS and "keepdim" not in node.kwargs
        return name == "flatten" and str(argument) == "1" and len(node.args) < 3

    def _incoming(self, node: fx.Node) -> _Value | None:
        return self.values.get(node.all_input_nodes[0]) if node.all_input_nodes else None

    def _pass(self, node: fx.Node, is_flat: bool = False) -> None:
        incoming = self._incoming(node)
        if incoming is not None:
            self.values[node] = _Value(incoming.group, incoming.is_flat or is_flat)

    def _fix_inputs(self, node: fx.Node) -> None:
        for argument in node.all_input_nodes:
            if argument in self.values:
                self.values[argument].group.is_fixed = True


def kept_weights(shape: torch.Size, rows: int, columns: int) -> int:
    """Weights of a layer of `shape` left when it keeps `rows` outputs and `columns` inputs."""
    return rows * columns * (shape.numel() // (shape[0] * shape[1]))
