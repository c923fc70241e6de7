"""The pre-activation residual networks of He et al. for CIFAR-10 (2016, arXiv:1603.05027).

In the form that the three-regime study trains (arXiv:2305.18383): shortcuts that change the shape are 1x1 convolutions
without batch norm.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from .inputs import Width, image_shape, scaled


class PreActivationBlock(nn.Module):
    """Batch norm and ReLU before each of two 3x3 convolutions; the shortcut starts before the first batch norm."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, planes: Tensor) -> Tensor:
        hidden = self.conv1(F.relu(self.bn1(planes)))
        hidden = self.conv2(F.relu(self.bn2(hidden), inplace=True))
        return hidden + self.shortcut(planes)


class PreResNet(nn.Module):
    """Depth d = 6n + 2: three stages of n blocks with 16, 32 and 64 channels, times `width`."""

    def __init__(self, depth: int, num_classes: int, channels: int, width: float) -> None:
        super().__init__()
        num_blocks = (depth - 2) // 6
        first, second, third = (scaled(published, width) for published in (16, 32, 64))
        self.conv1 = nn.Conv2d(channels, first, 3, padding=1, bias=False)
        self.stage1 = _stage(first, first, 1, num_blocks)
        self.stage2 = _stage(first, second, 2, num_blocks)
        self.stage3 = _stage(second, third, 2, num_blocks)
        self.bn = nn.BatchNorm2d(third)
        self.fc = nn.Linear(third, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        planes = self.stage3(self.stage2(self.stage1(self.conv1(images))))
        return self.fc(F.relu(self.bn(planes), inplace=True).mean(dim=(2, 3)))


def _stage(in_channels: int, out_channels: int, stride: int, num_blocks: int) -> nn.Sequential:
    blocks = [PreActivationBlock(in_channels, out_channels, stride)]
    blocks += [PreActivationBlock(out_channels, out_channels, 1) for _ in range(num_blocks - 1)]
    return nn.Sequential(*blocks)


def preresnet_20(*, num_classes: int, input_shape: tuple[int, ...], width: Width = 1) -> nn.Module:
    """272,282 parameters with three channels and ten classes; the network of the three-regime study."""
    channels, _, _ = image_shape(input_shape, smallest=8)
    return PreResNet(20, num_classes, channels, width)
