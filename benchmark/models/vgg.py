"""VGG-19 with batch norm for small images. Simonyan & Zisserman, 2014 (arXiv:1409.1556)."""

from __future__ import annotations

from torch import Tensor, nn

from .inputs import Width, image_shape, scaled

_CONVOLUTIONS_AND_CHANNELS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))


class Vgg(nn.Module):
    """Five stages of 3x3 convolutions that end in a max pooling, then one linear layer in place of VGG's three.

    The convolutions have biases, and `features` has the names and the initialisation of torchvision's vgg19_bn.
    """

    def __init__(self, num_classes: int, channels: int, width: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for num_convolutions, published in _CONVOLUTIONS_AND_CHANNELS:
            out_channels = scaled(published, width)
            for _ in range(num_convolutions):
                layers += [
                    nn.Conv2d(channels, out_channels, 3, padding=1),
                    nn.BatchNorm2d(out_channels),
                    nn.ReLU(inplace=True),
                ]
                channels = out_channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        return self.classifier(self.features(images).mean(dim=(2, 3)))


def vgg_19_bn(*, num_classes: int, input_shape: tuple[int, ...], width: Width = 1) -> nn.Module:
    """20,040,522 parameters for three channels and ten classes; `width` multiplies the channels of every layer."""
    channels, _, _ = image_shape(input_shape, smallest=32)
    return Vgg(num_classes, channels, width)
