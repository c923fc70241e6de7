"""The memory format of a network's tensors: it changes speed, and results only by the order of additions."""

from __future__ import annotations

import torch
from torch import nn

from ..runs.settings import MemoryFormat

SAFE_CHANNELS = 16
"""oneDNN works in blocks of 8 input channels with AVX2 and of 16 with AVX-512."""


def choose_memory_format(
    setting: MemoryFormat, model: nn.Module, input_shape: tuple[int, ...], device: torch.device
) -> torch.memory_format:
    """`auto`: channels last for images (c, h, w) and 2-D convolutions, unless a kernel of the device is faulty.

    Raises ValueError if channels last is asked for where it has no effect (no images) or would damage memory.
    """
    is_convolutional = len(input_shape) == 3 and any(isinstance(module, nn.Conv2d) for module in model.modules())
    if setting == "channels_last" and not is_convolutional:
        raise ValueError(
            f"memory format 'channels_last' needs a network with 2-D convolutions, inputs are {input_shape}"
        )
    damaging = _find_damaging(model) if device.type == "cpu" else None
    if setting == "channels_last" and damaging is not None:
        raise ValueError(
            f"memory format 'channels_last' damages memory on a CPU in layer {damaging!r}, a strided 1x1 convolution "
            f"of fewer than {SAFE_CHANNELS} channels; take 'auto' or 'contiguous'"
        )
    is_wanted = is_convolutional and damaging is None and setting != "contiguous"
    return torch.channels_last if is_wanted else torch.contiguous_format


def _find_damaging(model: nn.Module) -> str | None:
    """The first strided 1x1 convolution with so few channels that oneDNN's gradient writes beyond its memory.

    https://github.com/uxlfoundation/oneDNN/issues/6035: such trainings crash, hang or have wrong gradients.
    """
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d) or module.kernel_size != (1, 1) or max(module.stride) == 1:
            continue
        if module.in_channels // module.groups < SAFE_CHANNELS:
            return name
    return None


def name_of(memory_format: torch.memory_format) -> str:
    return "channels_last" if memory_format is torch.channels_last else "contiguous"
