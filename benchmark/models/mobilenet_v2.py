"""MobileNet-V2 for small images, and a smaller network of the same blocks.

Sandler et al., 2018 (arXiv:1801.04381), in the form that CIFAR experiments use: a stem of stride 1, ReLU in place of
ReLU6, and a residual sum in every block of stride 1, through a 1x1 convolution where the width changes. Those
projections are prunable, so global pruning can cut a block on both of its paths: layer collapse.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .inputs import Width, image_shape, scaled

Stage = tuple[int, int, int, int]
"""Expansion, output channels, number of blocks, stride of the first block."""

_CIFAR_STAGES: tuple[Stage, ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_SMALL_STAGES: tuple[Stage, ...] = ((1, 16, 1, 1), (4, 24, 2, 2), (4, 32, 1, 2), (4, 48, 1, 1))


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection; with stride 1 added to the input or its 1x1 projection."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.is_residual = stride == 1
        self.conv1 = nn.Conv2d(in_channels, hidden, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3 = nn.Conv2d(hidden, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if self.is_residual and in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, planes: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.conv1(planes)), inplace=True)
        hidden = F.relu(self.bn2(self.conv2(hidden)), inplace=True)
        hidden = self.bn3(self.conv3(hidden))
        return hidden + self.shortcut(planes) if self.is_residual else hidden


class MobileNetV2(nn.Module):
    """Stem, stages of inverted residuals, a 1x1 convolution to `head` channels, mean over the plane, classifier."""

    def __init__(
        self, stages: Sequence[Stage], stem: int, head: int, num_classes: int, channels: int, width: float
    ) -> None:
        super().__init__()
        stem, head = scaled(stem, width), scaled(head, width)
        self.conv1 = nn.Conv2d(channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        blocks: list[nn.Module] = []
        in_channels = stem
        for expansion, published, num_blocks, stride in stages:
            out_channels = scaled(published, width)
            for index in range(num_blocks):
                first_stride = stride if index == 0 else 1
                blocks.append(InvertedResidual(in_channels, out_channels, expansion, first_stride))
                in_channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = nn.Conv2d(in_channels, head, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(head)
        self.fc = nn.Linear(head, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        planes = self.blocks(F.relu(self.bn1(self.conv1(images)), inplace=True))
        return self.fc(F.relu(self.bn2(self.conv2(planes)), inplace=True).mean(dim=(2, 3)))


def mobilenet_v2(*, num_classes: int, input_shape: tuple[int, ...], width: Width = 1) -> nn.Module:
    """2,296,922 parameters for three channels and ten classes. Weights start as torch's layers do.

    `width` is the paper's width multiplier; channels are rounded to whole ones, and the last convolution follows too.
    """
    channels, _, _ = image_shape(input_shape, smallest=8, largest=96)
    return MobileNetV2(_CIFAR_STAGES, 32, 1280, num_classes, channels, width)


def mobilenet_small(*, num_classes: int, input_shape: tuple[int, ...], width: Width = 1) -> nn.Module:
    """The same blocks in seconds on a CPU: 36,000 prunable weights for one channel and ten classes."""
    channels, _, _ = image_shape(input_shape, smallest=8, largest=96)
    return MobileNetV2(_SMALL_STAGES, 16, 128, num_classes, channels, width)
