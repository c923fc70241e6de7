"""How the tensors of a network lie in memory: it changes speed, and results by no more than floating-point order."""

from __future__ import annotations

import torch
from torch import nn

from .settings import MemoryFormat


def choose_memory_format(setting: MemoryFormat, model: nn.Module, input_shape: tuple[int, ...]) -> torch.memory_format:
    """`auto`: channels last for images (c, h, w) through 2-D convolutions, which every backend has kernels for.

    Raises ValueError where channels last is asked for and inputs are no images: it would have no effect.
    """
    is_convolutional = len(input_shape) == 3 and any(isinstance(module, nn.Conv2d) for module in model.modules())
    if setting == "channels_last" and not is_convolutional:
        raise ValueError(
            f"memory format 'channels_last' needs a network with 2-D convolutions, inputs are {input_shape}"
        )
    return torch.channels_last if is_convolutional and setting != "contiguous" else torch.contiguous_format


def name_of(memory_format: torch.memory_format) -> str:
    return "channels_last" if memory_format is torch.channels_last else "contiguous"
