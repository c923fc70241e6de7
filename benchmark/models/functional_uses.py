"""Linear layers whose weight a network uses without calling the layer, as torchvision's Swin does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class LinearUses(TorchFunctionMode):
    """Multiply-adds of every product with a weight by `functional.linear`, in or outside its layer, by the weight's id.

    Holds for as long as the weights stay the same tensors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs: dict[int, int] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func is functional.linear:
            weight: Tensor = args[1] if len(args) > 1 else (kwargs or {})["weight"]
            self.macs[id(weight)] = self.macs.get(id(weight), 0) + output.numel() * weight.shape[-1]
        return output
