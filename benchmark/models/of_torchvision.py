"""Swin-T and ConvNeXt-T, torchvision's networks as they are; initialisation is torchvision's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.swin_transformer import SwinTransformer

from .inputs import Width, image_shape, scaled

StochasticDepth = Annotated[float, Field(ge=0, lt=1)]
"""Probability that the last block is left out for a sample in training; it grows linearly with the depth."""

_LAYER_SCALE = 1e-6


def swin_t(
    *, num_classes: int, input_shape: tuple[int, ...], stochastic_depth: StochasticDepth = 0.2, width: Width = 1
) -> nn.Module:
    """Swin-T (Liu et al., arXiv 2103.14030): windows of 7 x 7, patches of 4; 28,288,354 parameters for 1,000 classes.

    `width` multiplies the channels of a head, 32 as published.
    """
    image_shape(input_shape, smallest=32, channels=3)
    heads = [3, 6, 12, 24]
    embed_dim = heads[0] * scaled(32, width)
    mlp_ratio = scaled(4 * heads[0] * 32, width) / embed_dim  # 4 as published; rounded alone, it need not make heads
    return SwinTransformer(
        [4, 4], embed_dim, [2, 2, 6, 2], heads, [7, 7], mlp_ratio, stochastic_depth_prob=stochastic_depth,
        num_classes=num_classes,
    )  # fmt: skip


def convnext_tiny(
    *, num_classes: int, input_shape: tuple[int, ...], stochastic_depth: StochasticDepth = 0.1, width: Width = 1
) -> nn.Module:
    """ConvNeXt-T (Liu et al., arXiv 2201.03545): 28,589,128 parameters for 1,000 classes.

    The scale of each residual branch starts at 1e-6 and is a parameter outside the count of sparsity.
    """
    image_shape(input_shape, smallest=32, channels=3)
    channels = [scaled(published, width) for published in (96, 192, 384, 768)]
    blocks = zip(channels, [*channels[1:], None], (3, 3, 9, 3), strict=True)
    return ConvNeXt([CNBlockConfig(*block) for block in blocks], stochastic_depth, _LAYER_SCALE, num_classes)
