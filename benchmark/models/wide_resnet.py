"""Wide residual networks. Zagoruyko & Komodakis, 2016 (arXiv:1605.07146)."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from .inputs import Width, image_shape, scaled

Fraction = Annotated[float, Field(ge=0, lt=1)]


class WideBlock(nn.Module):
    """Pre-activation block: BN, ReLU, 3x3, BN, ReLU, dropout, 3x3, plus the input or its 1x1 projection."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut: nn.Module | None = None
        if in_channels != out_channels or stride != 1:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, planes: Tensor) -> Tensor:
        active = F.relu(self.bn1(planes), inplace=True)
        # where the width changes, the activated input feeds the projection as well; elsewhere the raw input is added
        residual = planes if self.shortcut is None else self.shortcut(active)
        hidden = F.relu(self.bn2(self.conv1(active)), inplace=True)
        return self.conv2(self.dropout(hidden)) + residual


class WideResNet(nn.Module):
    """Depth d = 6n + 4: three groups of n blocks, 16k, 32k and 64k channels wide."""

    def __init__(self, depth: int, width: float, dropout: float, num_classes: int, channels: int) -> None:
        super().__init__()
        num_blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        groups: list[nn.Module] = []
        in_channels = 16
        for published, stride in ((16, 1), (32, 2), (64, 2)):
            out_channels = scaled(published, width)
            blocks = [WideBlock(in_channels, out_channels, stride, dropout)]
            blocks += [WideBlock(out_channels, out_channels, 1, dropout) for _ in range(num_blocks - 1)]
            groups.append(nn.Sequential(*blocks))
            in_channels = out_channels
        self.group1, self.group2, self.group3 = groups
        self.bn = nn.BatchNorm2d(in_channels)
        self.fc = nn.Linear(in_channels, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        """Convolutions N(0, 2 / (k * k * c_out)), as the original; the classifier's weight as torch has it."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        planes = self.group3(self.group2(self.group1(self.conv1(images))))
        return self.fc(F.relu(self.bn(planes), inplace=True).mean(dim=(2, 3)))


def wrn_16_8(*, num_classes: int, input_shape: tuple[int, ...], dropout: Fraction = 0.3, width: Width = 8) -> nn.Module:
    """10,961,370 parameters for three channels and ten classes."""
    return _build(16, width, num_classes, input_shape, dropout)


def wrn_22_8(*, num_classes: int, input_shape: tuple[int, ...], dropout: Fraction = 0.3, width: Width = 8) -> nn.Module:
    """17,158,106 parameters for three channels and ten classes."""
    return _build(22, width, num_classes, input_shape, dropout)


def wrn_28_2(*, num_classes: int, input_shape: tuple[int, ...], dropout: Fraction = 0.3, width: Width = 2) -> nn.Module:
    """1,467,610 parameters for three channels and ten classes."""
    return _build(28, width, num_classes, input_shape, dropout)


def wrn_28_8(*, num_classes: int, input_shape: tuple[int, ...], dropout: Fraction = 0.3, width: Width = 8) -> nn.Module:
    """23,354,842 parameters for three channels and ten classes. Global MP trains it with dropout 0.3."""
    return _build(28, width, num_classes, input_shape, dropout)


def wrn_28_10(
    *, num_classes: int, input_shape: tuple[int, ...], dropout: Fraction = 0.3, width: Width = 10
) -> nn.Module:
    """36,479,194 parameters for three channels and ten classes."""
    return _build(28, width, num_classes, input_shape, dropout)


def _build(depth: int, width: float, num_classes: int, input_shape: tuple[int, ...], dropout: float) -> WideResNet:
    channels, _, _ = image_shape(input_shape, smallest=8)
    return WideResNet(depth, width, dropout, num_classes, channels)
