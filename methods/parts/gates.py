"""The gates of a network's rectifiers: which are open for an input, and passes in which they are set from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_IN_PLACE = {torch.relu_, Tensor.relu_, torch.nn.functional.leaky_relu_}
_RECTIFIERS = {torch.relu, Tensor.relu, F.relu, F.leaky_relu, *_IN_PLACE}


class _Rectifiers(TorchFunctionMode, ABC):
    """Hands every rectifier of a forward pass to `rectify`; other operations are as they are."""

    @abstractmethod
    def rectify(self, function: Callable[..., Tensor], inputs: Tensor, in_place: bool) -> Tensor:
        """What the rectifier `function` returns for `inputs`; `in_place`: into the memory of the inputs."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _RECTIFIERS:
            return func(*args, **kwargs)
        in_place = func in _IN_PLACE or kwargs.get("inplace", False)
        return self.rectify(lambda inputs: func(inputs, *args[1:], **kwargs), args[0], in_place)


class RecordGates(_Rectifiers):
    """Computes as ever, and keeps the gates of each rectifier in `gates`, in the order of the forward pass.

    A gate is open where the input of the rectifier is positive.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[Tensor] = []

    def rectify(self, function: Callable[..., Tensor], inputs: Tensor, in_place: bool) -> Tensor:
        self.gates.append(inputs > 0)
        return function(inputs)


class SetGates(_Rectifiers):
    """Multiplies by the given gates, which are those of one forward pass, in the place of every rectifier."""

    def __init__(self, gates: Sequence[Tensor]) -> None:
        super().__init__()
        self._gates: Iterator[Tensor] = iter(gates)

    def rectify(self, function: Callable[..., Tensor], inputs: Tensor, in_place: bool) -> Tensor:
        gate = next(self._gates)
        # What a network rectifies in place, it may read again under the old name.
        return inputs.mul_(gate) if in_place else inputs * gate


class OpenGates(_Rectifiers):
    """Lets everything pass, in the place of every rectifier."""

    def rectify(self, function: Callable[..., Tensor], inputs: Tensor, in_place: bool) -> Tensor:
        return inputs
