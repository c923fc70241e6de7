"""A file with a network to start from."""

from __future__ import annotations

from string import Template

MODEL = Template('''\
"""$title: what it is, in one line."""

from __future__ import annotations

from typing import Annotated, Literal

from prunebench.api import UserError
from pydantic import Field
from torch import Tensor, nn

MODELS = {"$name": "$name"}


class $class_name(nn.Module):
    """Two convolutions, the mean over the plane, and a linear layer."""

    def __init__(self, channels: int, num_classes: int, width: int, norm: str) -> None:
        super().__init__()
        norms = {"batch": nn.BatchNorm2d, "none": nn.Identity}
        self.first = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.first_norm = norms[norm](width)
        self.second = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.second_norm = norms[norm](2 * width)
        self.classifier = nn.Linear(2 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        hidden = self.first_norm(self.first(images)).relu()
        hidden = self.second_norm(self.second(hidden)).relu()
        return self.classifier(hidden.mean(dim=(2, 3)))


# Everything that the suite asks of a network is this function. Its keywords after input_shape are the options of
# the network in study files: each has a type, with bounds or choices, and a default that is a literal. Draw initial
# weights from torch's global random state, which the run's seed fixes. Convolutions, linear, recurrent and attention
# layers are pruned; a module of another kind names its weights (`prunable_weights`) and counts its multiply-adds
# (`macs(input_shape)`). An option `width` lets `small_dense` build a smaller network of the same kind.
def $name(
    *,
    num_classes: int,
    input_shape: tuple[int, ...],
    width: Annotated[int, Field(ge=1)] = 16,
    norm: Literal["batch", "none"] = "batch",
) -> nn.Module:
    """Say what the network is, and cite its source.

    Options:
        width: channels of the first layer.
        norm: batch norm behind each convolution, or none.
    """
    if len(input_shape) != 3:
        raise UserError(f"input shape {input_shape} does not fit: takes (channels, height, width)")
    return $class_name(input_shape[0], num_classes, width, norm)
''')
