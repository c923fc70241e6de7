"""torchvision's residual networks: ResNet-50 for ImageNet, and ResNet-18 and -50 with the stem for small images.

Initialisation is torchvision's: Kaiming-normal over fan-out for convolutions.
"""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from .inputs import Width, image_shape

# beyond this the stem without stride makes every layer cost as much as the input has pixels
_LARGEST_SMALL_IMAGE = 96


def resnet_50(
    *, num_classes: int, input_shape: tuple[int, ...], zero_init_residual: bool = False, width: Width = 64
) -> nn.Module:
    """ResNet-50 v1.5, the stride of 2 on the 3x3 convolution; 25,557,032 parameters for 1,000 classes.

    `zero_init_residual` starts the last batch norm of every block at zero. `width` is torchvision's width_per_group:
    the channels inside the first bottleneck, whose output stays at 256.
    """
    image_shape(input_shape, smallest=32, channels=3)
    return ResNet(
        Bottleneck,
        [3, 4, 6, 3],
        num_classes=num_classes,
        zero_init_residual=zero_init_residual,
        width_per_group=width,
    )


def resnet_18(*, num_classes: int, input_shape: tuple[int, ...], zero_init_residual: bool = False) -> nn.Module:
    """ResNet-18 for images of CIFAR's size; 11,173,962 parameters for three channels and ten classes."""
    return _with_small_stem(BasicBlock, [2, 2, 2, 2], num_classes, input_shape, zero_init_residual)


def resnet_50_cifar(*, num_classes: int, input_shape: tuple[int, ...], zero_init_residual: bool = False) -> nn.Module:
    """ResNet-50 for images of CIFAR's size; 23,520,842 parameters for three channels and ten classes."""
    return _with_small_stem(Bottleneck, [3, 4, 6, 3], num_classes, input_shape, zero_init_residual)


def _with_small_stem(
    block: type[BasicBlock | Bottleneck],
    layers: list[int],
    num_classes: int,
    input_shape: tuple[int, ...],
    zero_init_residual: bool,
) -> ResNet:
    """A 3x3 convolution of stride 1 and no pooling in place of the 7x7 of stride 2 and the max pooling."""
    channels, _, _ = image_shape(input_shape, smallest=8, largest=_LARGEST_SMALL_IMAGE)
    model = ResNet(block, layers, num_classes=num_classes, zero_init_residual=zero_init_residual)
    model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.add_module("maxpool", nn.Identity())
    return model
