"""The residual networks of He et al. for CIFAR-10 (2015, arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from .inputs import Width, image_shape, scaled

Shortcut = Literal["A", "B"]
"""Where the width doubles: A subsamples and pads with zero channels, no parameters; B is a 1x1 convolution and BN."""


class PaddedShortcut(nn.Module):
    """Every second pixel, and zero channels in equal number before and behind; one more behind if they are odd."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        added = out_channels - in_channels
        self.padding = (added // 2, added - added // 2)

    def forward(self, planes: Tensor) -> Tensor:
        # The same pixels as planes[:, :, ::2, ::2], whose gradients forget that channels lie last.
        return F.pad(F.avg_pool2d(planes, 1, stride=2), (0, 0, 0, 0, *self.padding))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to the shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        if stride == 1:
            self.shortcut: nn.Module = nn.Identity()
        elif shortcut == "A":
            self.shortcut = PaddedShortcut(in_channels, out_channels)
        else:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, planes: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.conv1(planes)), inplace=True)
        return F.relu(self.bn2(self.conv2(hidden)) + self.shortcut(planes), inplace=True)


class CifarResNet(nn.Module):
    """Depth d = 6n + 2: three stages of n blocks with 16, 32 and 64 channels, times `width`."""

    def __init__(self, depth: int, shortcut: Shortcut, num_classes: int, channels: int, width: float) -> None:
        super().__init__()
        num_blocks = (depth - 2) // 6
        first, second, third = (scaled(published, width) for published in (16, 32, 64))
        self.conv1 = nn.Conv2d(channels, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.stage1 = _stage(first, first, 1, num_blocks, shortcut)
        self.stage2 = _stage(first, second, 2, num_blocks, shortcut)
        self.stage3 = _stage(second, third, 2, num_blocks, shortcut)
        self.fc = nn.Linear(third, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        planes = F.relu(self.bn1(self.conv1(images)), inplace=True)
        return self.fc(self.stage3(self.stage2(self.stage1(planes))).mean(dim=(2, 3)))


def _stage(in_channels: int, out_channels: int, stride: int, num_blocks: int, shortcut: Shortcut) -> nn.Sequential:
    blocks = [BasicBlock(in_channels, out_channels, stride, shortcut)]
    blocks += [BasicBlock(out_channels, out_channels, 1, shortcut) for _ in range(num_blocks - 1)]
    return nn.Sequential(*blocks)


def resnet_8(
    *, num_classes: int, input_shape: tuple[int, ...], shortcut: Shortcut = "A", width: Width = 1
) -> nn.Module:
    """75,290 parameters with option A, three channels and ten classes: one block a stage, for studies on a CPU."""
    return _build(8, num_classes, input_shape, shortcut, width)


def resnet_20(
    *, num_classes: int, input_shape: tuple[int, ...], shortcut: Shortcut = "A", width: Width = 1
) -> nn.Module:
    """269,722 parameters with option A, three channels and ten classes."""
    return _build(20, num_classes, input_shape, shortcut, width)


def resnet_32(
    *, num_classes: int, input_shape: tuple[int, ...], shortcut: Shortcut = "A", width: Width = 1
) -> nn.Module:
    """464,154 parameters with option A, three channels and ten classes; the ResNet-32 of Global MP and DPF."""
    return _build(32, num_classes, input_shape, shortcut, width)


def resnet_56(
    *, num_classes: int, input_shape: tuple[int, ...], shortcut: Shortcut = "A", width: Width = 1
) -> nn.Module:
    """853,018 parameters with option A, three channels and ten classes."""
    return _build(56, num_classes, input_shape, shortcut, width)


def _build(depth: int, num_classes: int, input_shape: tuple[int, ...], shortcut: Shortcut, width: float) -> CifarResNet:
    channels, _, _ = image_shape(input_shape, smallest=8)
    return CifarResNet(depth, shortcut, num_classes, channels, width)
