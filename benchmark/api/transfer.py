"""Between the host and a GPU with as few waits as can be: the host waits only for what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def read(numbers: Sequence[Tensor]) -> list[Any]:
    """The values of tensors without dimensions, all of one type: the host waits once for all of them."""
    return torch.stack(list(numbers)).tolist() if numbers else []


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on the device. The host does not wait: a GPU copies by itself from memory that stays in place."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
