"""Vision transformers: ViT for small images, ViT-S/16 (the network of DeiT-S) and ViT-B/16, built by torchvision.

Every projection of an attention layer is prunable. The class token and the position embedding are no weights of a layer
and stay dense; the products of activations inside attention have no weight.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

from ..api.errors import UserError
from .inputs import Width, image_shape, scaled

Depth = Annotated[int, Field(ge=1)]
"""Number of encoder blocks."""
Patch = Annotated[int, Field(ge=1)]
"""Side of a patch, in pixels."""
Probability = Annotated[float, Field(ge=0, lt=1)]

_CHANNELS_OF_A_HEAD = 64
_MLP_RATIO = 4
_TRUNCATED_STD = 0.02


def vit_tiny(
    *,
    num_classes: int,
    input_shape: tuple[int, ...],
    depth: Depth = 6,
    patch: Patch = 4,
    dropout: Probability = 0.0,
    width: Width = 1,
) -> nn.Module:
    """ViT for images of CIFAR's size: 3 heads of 64 channels; 2,693,578 parameters for ten classes at a depth of 6.

    DeiT-Ti's width (Touvron et al., arXiv 2012.12877, Table 1) with smaller patches and fewer blocks.
    """
    return _vision_transformer(num_classes, input_shape, 3, depth, patch, dropout, width)


def vit_s_16(
    *, num_classes: int, input_shape: tuple[int, ...], dropout: Probability = 0.0, width: Width = 1
) -> nn.Module:
    """ViT-S/16: 12 blocks, 6 heads of 64 channels; 22,050,664 parameters for 1,000 classes at 224 x 224.

    The same network is DeiT-S (Touvron et al., arXiv 2012.12877, Table 1), without a distillation token.
    """
    return _vision_transformer(num_classes, input_shape, 6, 12, 16, dropout, width)


def vit_b_16(
    *, num_classes: int, input_shape: tuple[int, ...], dropout: Probability = 0.0, width: Width = 1
) -> nn.Module:
    """ViT-B/16 (Dosovitskiy et al., arXiv 2010.11929, Table 1): 12 blocks, 12 heads; 86,567,656 parameters."""
    return _vision_transformer(num_classes, input_shape, 12, 12, 16, dropout, width)


def _vision_transformer(
    num_classes: int,
    input_shape: tuple[int, ...],
    heads: int,
    depth: int,
    patch: int,
    dropout: float,
    width: float,
) -> VisionTransformer:
    channels, side, other = image_shape(input_shape, smallest=patch)
    if side != other or side % patch:
        raise UserError(
            f"input shape {tuple(input_shape)} does not fit: takes square images whose side is a multiple of the "
            f"patch, {patch}"
        )
    hidden = heads * scaled(_CHANNELS_OF_A_HEAD, width)
    mlp = scaled(_MLP_RATIO * heads * _CHANNELS_OF_A_HEAD, width)  # its own rounding: it need not divide into heads
    model = VisionTransformer(side, patch, depth, heads, hidden, mlp, dropout, num_classes=num_classes)
    if channels != 3:
        model.conv_proj = nn.Conv2d(channels, hidden, patch, stride=patch)
        nn.init.trunc_normal_(model.conv_proj.weight, std=math.sqrt(1 / (channels * patch**2)))
        nn.init.zeros_(model.conv_proj.get_parameter("bias"))
    # torchvision starts the head at zero, where no other layer has a gradient and nothing can be scored before training
    nn.init.trunc_normal_(model.heads.get_submodule("head").get_parameter("weight"), std=_TRUNCATED_STD)
    return model
