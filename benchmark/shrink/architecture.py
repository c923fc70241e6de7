"""What a smaller network is, as plain data: a network of the suite, and the sizes of the layers that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..api.channel_values import NORMS
from ..api.errors import UserError
from ..api.sites import PRUNABLE_LAYERS
from ..models.registry import sketch_model
from .fewer_heads import FewerHeads

Sizes = Mapping[str, int | bool]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Enough to build a network without the run that it comes from.

    Attributes:
        layers: sizes by the layer's path, as its constructor names them, and the heads of attention and the ranks of
            low-rank cells; layers that are as in the original network are left out.
    """

    model: str
    num_classes: int
    input_shape: tuple[int, ...]
    options: Mapping[str, Any]
    layers: Mapping[str, Sizes]

    def original(self) -> nn.Module:
        """The network before it was made smaller, on the meta device: shapes without values."""
        return sketch_model(
            self.model, num_classes=self.num_classes, input_shape=tuple(self.input_shape), **self.options
        )

    def build(self) -> nn.Module:
        """The smaller network on the meta device. Raises UserError for sizes of a layer that it does not have."""
        model = self.original()
        for path, sizes in self.layers.items():
            try:
                module = model.get_submodule(path)
            except AttributeError:
                raise UserError(f"model {self.model!r} has no layer {path!r}") from None
            if sizes.keys() != sizes_of(module).keys():
                raise UserError(f"layer {path!r} has the sizes {sorted(sizes_of(module))}, not {sorted(sizes)}")
            if isinstance(module, nn.MultiheadAttention):
                model.set_submodule(path, FewerHeads(module, torch.arange(int(sizes["num_heads"]))))
            else:
                _resize(module, sizes)
        return model


def changed_layers(original: nn.Module, small: nn.Module) -> dict[str, dict[str, int | bool]]:
    """The sizes of all layers of `small` that are not those of `original`."""
    before = {path: sizes_of(module) for path, module in original.named_modules()}
    after = {path: sizes_of(module) for path, module in small.named_modules()}
    return {path: sizes for path, sizes in after.items() if sizes != before[path]}


def sizes_of(module: Any) -> dict[str, int | bool]:
    """Of a layer that can be made smaller; empty for others."""
    if isinstance(module, NORMS):
        return {"num_features": module.num_features}
    if isinstance(module, nn.Linear):
        return {"in_features": module.in_features, "out_features": module.out_features, "bias": module.bias is not None}
    if isinstance(module, nn.MultiheadAttention):
        return {"num_heads": module.num_heads}
    if isinstance(module, PRUNABLE_LAYERS):
        sizes = {name: getattr(module, name) for name in ("in_channels", "out_channels", "groups")}
        return {**sizes, "bias": module.bias is not None}
    return {f"rank of {first}": getattr(module, first).shape[1] for first, _ in _pairs(module)}


def _pairs(module: nn.Module) -> tuple[tuple[str, str], ...]:
    return getattr(module, "low_rank_pairs", ())


def _resize(module: Any, sizes: Sizes) -> None:
    if isinstance(module, (*PRUNABLE_LAYERS, *NORMS)):
        for name, size in sizes.items():
            if name != "bias":
                setattr(module, name, size)
    for name, shape in _shapes(module, sizes):
        old = getattr(module, name)
        new = module.weight.new_empty(shape) if old is None else old.detach().new_empty(shape)
        setattr(module, name, nn.Parameter(new) if old is None or isinstance(old, nn.Parameter) else new)


def _shapes(module: Any, sizes: Sizes) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the tensors of a layer that has these sizes."""
    if isinstance(module, NORMS):
        names = ("weight", "bias", "running_mean", "running_var")
        yield from ((name, (module.num_features,)) for name in names if getattr(module, name) is not None)
    elif isinstance(module, PRUNABLE_LAYERS):
        is_linear = isinstance(module, nn.Linear)
        rows = module.out_features if is_linear else module.out_channels
        columns = module.in_features if is_linear else module.in_channels // module.groups
        yield "weight", (rows, columns, *module.weight.shape[2:])
        if sizes["bias"]:
            yield "bias", (rows,)
    for first, second in _pairs(module):
        rank = int(sizes[f"rank of {first}"])
        yield first, (getattr(module, first).shape[0], rank)
        yield second, (rank, getattr(module, second).shape[1])
