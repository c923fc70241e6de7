"""The graph of a network with the shapes of its values, without computing any."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError

from .errors import UserError
from .sites import prunable_names


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


def traced_nodes(model: nn.Module, example: Tensor) -> list[fx.Node]:
    """The nodes in order, from a copy on the meta device in eval mode. Modules are called as `model` names them.

    Args:
        example: a batch that the network takes; only its shape and type matter, and "meta" is a device for it.

    Raises:
        UserError: the network's graph cannot be traced.
    """
    sketch = _without_values(model).eval()
    try:
        traced = fx.GraphModule(sketch, _Tracer().trace(sketch))
        with torch.no_grad():
            _Shapes(traced).run(torch.empty_like(example, device="meta"))
    except (TraceError, TypeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"cannot follow the channels through {type(model).__name__}: {reason}") from error
    return list(traced.graph.nodes)


def shape_of(node: fx.Node) -> torch.Size:
    """Of a tensor that a node of `traced_nodes` gives; empty for anything else."""
    return node.meta.get("shape", torch.Size())


def _without_values(model: nn.Module) -> nn.Module:
    """A copy on the meta device. A tracer refers to itself: what it traces stays until Python looks for cycles."""
    shapes: dict[int, object] = {id(each): torch.empty_like(each, device="meta") for each in model.buffers()}
    for each in model.parameters():
        shapes[id(each)] = nn.Parameter(torch.empty_like(each, device="meta"), each.requires_grad)
    return copy.deepcopy(model, shapes)
