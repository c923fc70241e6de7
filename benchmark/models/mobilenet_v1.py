"""MobileNet-V1. Howard et al., 2017 (arXiv:1704.04861)."""

from __future__ import annotations

from torch import Tensor, nn

from .inputs import Width, image_shape, scaled

_OUT_CHANNELS_AND_STRIDES = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


class MobileNetV1(nn.Module):
    """A strided 3x3 convolution, thirteen pairs of a depthwise 3x3 and a pointwise 1x1, a classifier without bias.

    The classifier has no bias and the activations are ReLU, not ReLU6, as in the STR and Global MP experiments.
    """

    def __init__(self, num_classes: int, channels: int, width: float) -> None:
        super().__init__()
        in_channels = scaled(32, width)
        layers = _convolution(channels, in_channels, kernel=3, stride=2)
        for published, stride in _OUT_CHANNELS_AND_STRIDES:
            out_channels = scaled(published, width)
            layers += _convolution(in_channels, in_channels, kernel=3, stride=stride, groups=in_channels)
            layers += _convolution(in_channels, out_channels, kernel=1)
            in_channels = out_channels
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(in_channels, num_classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        return self.fc(self.features(images).mean(dim=(2, 3)))


def _convolution(
    in_channels: int, out_channels: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution, batch norm, ReLU; padded so that stride 1 keeps the size."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def mobilenet_v1(*, num_classes: int, input_shape: tuple[int, ...], width: Width = 1) -> nn.Module:
    """4,230,976 parameters for three channels and 1,000 classes. Weights start as torch's layers do.

    `width` is the paper's width multiplier; channels are rounded to whole ones, not to multiples of eight.
    """
    channels, _, _ = image_shape(input_shape, smallest=32)
    return MobileNetV1(num_classes, channels, width)
