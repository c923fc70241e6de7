"""A small convolutional network for demonstrations and tests: seconds of training on a CPU."""

from __future__ import annotations

from torch import Tensor, nn

from .inputs import image_shape

_CHANNELS_AND_STRIDES = ((16, 1), (32, 2), (32, 1), (64, 2))


class ConvNetSmall(nn.Module):
    """Four times 3x3 convolution, batch norm and ReLU; then the mean over the plane and a linear layer."""

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, stride in _CHANNELS_AND_STRIDES:
            layers += [
                nn.Conv2d(channels, width, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        return self.classifier(self.features(images).mean(dim=(2, 3)))


def convnet_small(*, num_classes: int, input_shape: tuple[int, ...]) -> nn.Module:
    """33,040 prunable weights for one channel and ten classes; images of at least 8 x 8.

    Weights start as torch's layers do: Kaiming-uniform with a = sqrt(5).
    """
    channels, _, _ = image_shape(input_shape, smallest=8)
    return ConvNetSmall(num_classes, channels)
