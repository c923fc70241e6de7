"""The input shapes that a network can take, checked before it is built."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from ..api.errors import UserError

Width = Annotated[float, Field(gt=0)]
"""How wide a network is, in its own unit: the option that makes it smaller. Every layer follows, in whole channels.

The unit is the channels of the first layer (convnet-small), the factor k (WRN), or 1 for the network as published.
"""


def scaled(channels: int, width: float) -> int:
    """`channels` of the network as published times `width`, rounded half up, at least one."""
    return max(1, math.floor(channels * width + 0.5))


def image_shape(
    input_shape: tuple[int, ...],
    *,
    smallest: int = 1,
    largest: int | None = None,
    channels: int | None = None,
) -> tuple[int, int, int]:
    """`input_shape` as (channels, height, width), or a UserError that says what the network takes.

    Args:
        smallest: least height and width, in pixels.
        largest: greatest height and width, in pixels; None is no limit.
        channels: the only number of channels that fits; None is any.
    """
    sides = input_shape[1:]
    fits = (
        len(input_shape) == 3
        and min(input_shape) > 0
        and min(sides) >= smallest
        and (largest is None or max(sides) <= largest)
        and channels in (None, input_shape[0])
    )
    if not fits:
        limits = f"at least {smallest}" if largest is None else f"from {smallest} to {largest}"
        planes = "" if channels is None else f" with {channels} channels"
        raise UserError(
            f"input shape {tuple(input_shape)} does not fit: takes (channels, height, width){planes}, "
            f"height and width {limits}"
        )
    return input_shape[0], input_shape[1], input_shape[2]


def sequence_shape(input_shape: tuple[int, ...]) -> tuple[int, int]:
    """`input_shape` as (time steps, channels), or a UserError."""
    if len(input_shape) != 2 or min(input_shape) < 1:
        raise UserError(f"input shape {tuple(input_shape)} does not fit: takes (time steps, channels), both at least 1")
    return input_shape[0], input_shape[1]


def num_features(input_shape: tuple[int, ...]) -> int:
    """Numbers in one flattened input, or a UserError for a shape that holds none."""
    if not input_shape or min(input_shape) < 1:
        raise UserError(f"input shape {tuple(input_shape)} does not fit: takes any shape whose sizes are at least 1")
    total = 1
    for size in input_shape:
        total *= size
    return total
