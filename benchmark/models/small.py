"""A small convolutional network for demonstrations and tests: seconds of training on a CPU."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from .inputs import Width, image_shape, scaled

_WIDTHS_AND_STRIDES = ((1, 1), (2, 2), (2, 1), (4, 2))  # in units of the network's width


class ConvNetSmall(nn.Module):
    """Four times 3x3 convolution, batch norm and ReLU; then the mean over the plane and a linear layer."""

    def __init__(self, num_classes: int, channels: int, width: float, stem_stride: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for factor, stride in _WIDTHS_AND_STRIDES:
            out_channels = scaled(factor, width)
            layers += [
                nn.Conv2d(channels, out_channels, 3, stride if layers else stem_stride, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(inplace=True),
            ]
            channels = out_channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        return self.classifier(self.features(images).mean(dim=(2, 3)))


def convnet_small(
    *, num_classes: int, input_shape: tuple[int, ...], width: Width = 16, stem_stride: Literal[1, 2, 4] = 1
) -> nn.Module:
    """33,040 prunable weights for one channel, ten classes and a width of 16; images of at least 8 x 8.

    The layers have `width`, twice, twice and four times as many channels, rounded where it is a fraction. `stem_stride`
    is that of the first layer: with 4, images of 28 x 28 take as much work as the digits. Weights start as torch's
    layers do: Kaiming-uniform with a = sqrt(5).
    """
    channels, _, _ = image_shape(input_shape, smallest=8)
    return ConvNetSmall(num_classes, channels, width, stem_stride)
