"""Passes of a network in which other tensors stand in the place of its parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn
from torch.func import functional_call


def call_with(model: nn.Module, stand_ins: Mapping[Tensor, Tensor], inputs: Tensor) -> Tensor:
    """The network's output with `stand_ins[tensor]` in every place that holds a tensor; what has none is as it is."""
    tensors = {place: stand_ins[tensor] for place, tensor in _places(model) if tensor in stand_ins}
    # Ties are in the tensors; torch's own handling of them leaves tensors behind in a module with two names.
    return functional_call(model, tensors, (inputs,), tie_weights=False)


def copied_buffers(model: nn.Module) -> dict[Tensor, Tensor]:
    """Copies of all buffers, for batch norm to write its statistics to."""
    return {buffer: buffer.clone() for buffer in model.buffers()}


def _places(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for path, module in model.named_modules():
        held = (module.named_parameters, module.named_buffers)
        for name, tensor in (pair for named in held for pair in named(recurse=False, remove_duplicate=False)):
            yield f"{path}.{name}".lstrip("."), tensor
