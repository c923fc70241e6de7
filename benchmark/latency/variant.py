"""One way to compute a network's outputs, and the ways that a network has on a machine."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..shrink.onnx_file import OnnxFile
from .machine import CPU
from .onnx_session import open_session

ROUNDING, HALF_ROUNDING = 1e-3, 5e-2
"""Largest difference of outputs, as a share of the largest output, that float32 and float16 explain by rounding."""

Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to compute outputs.

    Attributes:
        bind: builds it anew, with weights of its own, for these inputs (n, *shape); the call returns logits as a
            tensor or an array (n, classes) and waits for the device.
        reference: the variant whose outputs it must give within `tolerance`; None for an approximation.
        accuracy: on the test set, where it is not that of the stored run.
        only_batch: the only number of inputs that it takes at once; None: any number.
    """

    name: str
    bind: Callable[[Tensor], Call]
    device: torch.device
    file_bytes: int
    packed_bytes: int | None = None
    reference: str | None = None
    tolerance: float = ROUNDING
    accuracy: float | None = None
    only_batch: int | None = None

    def takes(self, batch: int) -> bool:
        return self.only_batch in (None, batch)

    def largest(self, inputs: Tensor) -> Tensor:
        """As many of the inputs as it takes at once."""
        return inputs[: self.only_batch]

    def outputs(self, inputs: Tensor) -> Tensor:
        """Logits (n, classes) as float64 on the CPU, of as many of the inputs as it takes."""
        found: Any = self.bind(self.largest(inputs))()
        return torch.from_numpy(found).double() if isinstance(found, np.ndarray) else found.double().cpu()


def torch_variant(
    name: str,
    model: nn.Module,
    device: torch.device,
    *,
    change: Callable[[nn.Module], nn.Module] = lambda model: model,
    dtype: torch.dtype = torch.float32,
    **facts: Any,
) -> Variant:
    """A network on the device, changed by `change` after it was copied."""

    def bind(inputs: Tensor) -> Call:
        module, placed = change(copy.deepcopy(model)).eval(), inputs.to(device, dtype)

        def call() -> Tensor:
            outputs = module(placed)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return outputs

        return call

    return Variant(name=name, bind=bind, device=device, **facts)


def onnx_variant(name: str, onnx: OnnxFile, threads: int, **facts: Any) -> Variant:
    """ONNX Runtime on the CPU."""

    def bind(inputs: Tensor) -> Call:
        run, array = open_session(onnx.content, threads), inputs.cpu().numpy()
        return lambda: run(array)

    size = len(onnx.content)
    return Variant(name=name, bind=bind, device=CPU, file_bytes=size, only_batch=onnx.batch, **facts)
