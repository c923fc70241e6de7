"""The two LeNets of the pruning papers."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from .inputs import image_shape, num_features


def lenet_300_100(*, num_classes: int, input_shape: tuple[int, ...]) -> nn.Module:
    """Two hidden layers of 300 and 100 units on the flattened input. LeCun et al., 1998.

    Weights start Glorot-normal and biases at zero, as in the lottery-ticket experiments (arXiv:1803.03635).
    """
    model = nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(num_features(input_shape), 300),
            relu1=nn.ReLU(inplace=True),
            fc2=nn.Linear(300, 100),
            relu2=nn.ReLU(inplace=True),
            fc3=nn.Linear(100, num_classes),
        )
    )
    for module in model:
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def lenet_5(*, num_classes: int, input_shape: tuple[int, ...]) -> nn.Module:
    """LeNet-5 as the Caffe example has it: no non-linearity after the convolutions but the max pooling.

    431,080 parameters on 1 x 28 x 28. Weights start Glorot-uniform ("xavier" in Caffe) and biases at zero.
    """
    channels, height, width = image_shape(input_shape, smallest=16)
    flattened = 50 * _side_after_pooling(height) * _side_after_pooling(width)
    model = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 20, 5),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(flattened, 500),
            relu1=nn.ReLU(inplace=True),
            fc2=nn.Linear(500, num_classes),
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
