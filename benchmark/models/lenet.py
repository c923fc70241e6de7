"""The two LeNets of the pruning papers."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from .inputs import Width, image_shape, num_features, scaled


def lenet_300_100(*, num_classes: int, input_shape: tuple[int, ...], width: Width = 1) -> nn.Module:
    """Two hidden layers of 300 and 100 units, times `width`, on the flattened input. LeCun et al., 1998.

    Weights start Glorot-normal and biases at zero, as in the lottery-ticket experiments (arXiv:1803.03635).
    """
    first, second = scaled(300, width), scaled(100, width)
    model = nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(num_features(input_shape), first),
            relu1=nn.ReLU(inplace=True),
            fc2=nn.Linear(first, second),
            relu2=nn.ReLU(inplace=True),
            fc3=nn.Linear(second, num_classes),
        )
    )
    for module in model:
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def lenet_5(*, num_classes: int, input_shape: tuple[int, ...], width: Width = 1) -> nn.Module:
    """LeNet-5 as the Caffe example has it: no non-linearity after the convolutions but the max pooling.

    431,080 parameters on 1 x 28 x 28; `width` multiplies 20 and 50 channels and 500 units. Weights start
    Glorot-uniform ("xavier" in Caffe) and biases at zero.
    """
    channels, rows, columns = image_shape(input_shape, smallest=16)
    first, second, hidden = scaled(20, width), scaled(50, width), scaled(500, width)
    flattened = second * _side_after_pooling(rows) * _side_after_pooling(columns)
    model = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, first, 5),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(first, second, 5),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(flattened, hidden),
            relu1=nn.ReLU(inplace=True),
            fc2=nn.Linear(hidden, num_classes),
        )
    )
    for module in model:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def _side_after_pooling(side: int) -> int:
    """Two rounds of an unpadded 5x5 convolution and a 2x2 pooling: 28 -> 4."""
    return ((side - 4) // 2 - 4) // 2
