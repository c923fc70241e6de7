"""torchvision's residual networks: ResNet-50 for ImageNet, and ResNet-18 and -50 with the stem for small images.

Initialisation is torchvision's: Kaiming-normal over fan-out for convolutions.
"""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from .inputs import Width, image_shape, scaled

# beyond this the stem without stride makes every layer cost as much as the input has pixels
_LARGEST_SMALL_IMAGE = 96

Block = type[BasicBlock | Bottleneck]


class ScaledResNet(ResNet):
    """torchvision's network with the channels of every layer times `width`, built in torchvision's order.

    With a width of 1 the names, the shapes and, from the same random state, the weights are torchvision's.
    """

    def __init__(
        self, block: Block, layers: list[int], num_classes: int, zero_init_residual: bool, width: float
    ) -> None:
        nn.Module.__init__(self)  # what torchvision's own constructor does is here, but for its fixed channels
        self._norm_layer = nn.BatchNorm2d
        self.dilation, self.groups, self.base_width = 1, 1, 64
        planes = [scaled(published, width) for published in (64, 128, 256, 512)]
        self.inplanes = planes[0]
        self.conv1 = nn.Conv2d(3, planes[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, planes[0], layers[0])
        self.layer2 = self._make_layer(block, planes[1], layers[1], stride=2)
        self.layer3 = self._make_layer(block, planes[2], layers[2], stride=2)
        self.layer4 = self._make_layer(block, planes[3], layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(planes[3] * block.expansion, num_classes)
        self._initialise(zero_init_residual)

    def _initialise(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, BasicBlock | Bottleneck):
                last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                nn.init.zeros_(last.get_parameter("weight"))


def resnet_50(
    *, num_classes: int, input_shape: tuple[int, ...], zero_init_residual: bool = False, width: Width = 1
) -> nn.Module:
    """ResNet-50 v1.5, the stride of 2 on the 3x3 convolution; 25,557,032 parameters for 1,000 classes.

    `zero_init_residual` starts the last batch norm of every block at zero. `width` multiplies the channels of every
    layer (torchvision's width_per_group only those inside the bottlenecks).
    """
    image_shape(input_shape, smallest=32, channels=3)
    return ScaledResNet(Bottleneck, [3, 4, 6, 3], num_classes, zero_init_residual, width)


def resnet_18(
    *, num_classes: int, input_shape: tuple[int, ...], zero_init_residual: bool = False, width: Width = 1
) -> nn.Module:
    """ResNet-18 for images of CIFAR's size; 11,173,962 parameters for three channels and ten classes."""
    return _with_small_stem(BasicBlock, [2, 2, 2, 2], num_classes, input_shape, zero_init_residual, width)


def resnet_50_cifar(
    *, num_classes: int, input_shape: tuple[int, ...], zero_init_residual: bool = False, width: Width = 1
) -> nn.Module:
    """ResNet-50 for images of CIFAR's size; 23,520,842 parameters for three channels and ten classes."""
    return _with_small_stem(Bottleneck, [3, 4, 6, 3], num_classes, input_shape, zero_init_residual, width)


def _with_small_stem(
    block: Block,
    layers: list[int],
    num_classes: int,
    input_shape: tuple[int, ...],
    zero_init_residual: bool,
    width: float,
) -> ResNet:
    """A 3x3 convolution of stride 1 and no pooling in place of the 7x7 of stride 2 and the max pooling."""
    channels, _, _ = image_shape(input_shape, smallest=8, largest=_LARGEST_SMALL_IMAGE)
    model = ScaledResNet(block, layers, num_classes, zero_init_residual, width)
    model.conv1 = nn.Conv2d(channels, model.conv1.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.add_module("maxpool", nn.Identity())
    return model
