"""Uses of weights in a forward pass that hooks of layers do not see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class LinearUses(TorchFunctionMode):
    """Calls `listener(weight, inputs)` for every product by `functional.linear`, in or outside the weight's layer.

    torchvision's Swin takes the weights of linear layers that it never calls.
    """

    def __init__(self, listener: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self._listener = listener

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        keywords = kwargs or {}
        if func is functional.linear:
            self._listener(*_operands(*args, **keywords))
        return func(*args, **keywords)


def _operands(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weight and inputs of a call of `functional.linear`, whose parameters these are."""
    return weight, input


@contextmanager
def module_by_module() -> Iterator[None]:
    """Without the kernel that computes a whole transformer layer in eval mode, past the modules inside it."""
    is_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_enabled)
