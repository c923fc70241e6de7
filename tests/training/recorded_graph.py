"""A stand-in for CUDA graphs on the CPU: operations are recorded with their tensors and replayed into the same memory.

As on a GPU, no Python of the captured work runs again, results come to where they were at the capture, and capturing
itself changes nothing: tensors that were there before are put back, and those that were made hold NaN until a replay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def tensors_of(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def written(function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> list[Tensor]:
    """The arguments that an operation changes, by its schema; that of batch norm does not name its statistics."""
    found = tensors_of(arguments[3:5]) if function is torch.ops.aten.native_batch_norm.default else []
    for index, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found += tensors_of(arguments[index] if index < len(arguments) else named.get(argument.name))
    return found


class Tape(TorchDispatchMode):
    """Records every operation that is no view."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Callable[[], None]] = []
        self.made: dict[int, Tensor] = {}
        self.before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        changed = written(func, args, kwargs)
        for tensor in changed:
            if place(tensor) not in self.made:
                self.before.setdefault(place(tensor), (tensor, tensor.clone()))
        result = func(*args, **kwargs)
        given = {place(tensor) for tensor in tensors_of((args, kwargs))}
        new = [tensor for tensor in tensors_of(result) if place(tensor) not in given]
        self.made.update((place(tensor), tensor) for tensor in new)
        if changed or new:
            self.operations.append(lambda: again(func, args, kwargs, result, given))
        return result


def again(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, given: set[int]) -> None:
    for old, new in zip(tensors_of(result), tensors_of(func(*args, **kwargs)), strict=True):
        if place(old) not in given:
            old.copy_(new)


class RecordedGraphs:
    """In place of `CudaRecorder`."""

    num_captured = 0
    num_replayed = 0
    is_waiting = False

    def __init__(self, device: torch.device) -> None:
        type(self).num_captured = type(self).num_replayed = 0

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        return work()

    def waits(self, work: Callable[[], Tensor]) -> tuple[Tensor, bool]:
        return work(), self.is_waiting

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        type(self).num_captured += 1
        random_state = torch.get_rng_state()
        with Tape() as tape:
            result = work()
        torch.set_rng_state(random_state)
        with torch.no_grad():
            for tensor, value in tape.before.values():
                tensor.copy_(value)
            for tensor in tape.made.values():
                if tensor.is_floating_point():
                    tensor.fill_(torch.nan)

        @torch.no_grad()
        def replay() -> None:
            type(self).num_replayed += 1
            for operation in tape.operations:
                operation()

        return result, replay
