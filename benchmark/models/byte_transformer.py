"""A transformer that predicts each next byte of a text: decoder blocks with causal attention, norms before them.

Every projection of a block is prunable. Symbols and positions are looked up, so they are no weights of a layer and stay
dense. The output layer is the table of the symbols again (Press and Wolf, arXiv 1608.05859), as in GPT-2, so it is not
pruned either, which papers on language models do not do.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from ..api.errors import UserError
from .inputs import Width, scaled

Positive = Annotated[int, Field(ge=1)]

_MLP_RATIO = 4
_STD = 0.02


class CausalAttention(nn.Module):
    """Each place attends to itself and to those before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, places, width) -> the same."""
        batch, places, width = x.shape
        query, key, value = self.qkv(x).view(batch, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(attended.transpose(1, 2).reshape(batch, places, width))


class Block(nn.Module):
    """Attention and two layers with GELU between them, each behind a norm and added to what came in."""

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads)
        self.rise = nn.Linear(width, hidden)
        self.fall = nn.Linear(hidden, width)
        self.gelu = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.fall(self.gelu(self.rise(self.norm_2(x))))


class ByteTransformer(nn.Module):
    """Logits of the next symbol at each place of a window."""

    def __init__(
        self, symbols: int, context: int, depth: int, width: int, hidden: int, heads: int, *, tied: bool
    ) -> None:
        super().__init__()
        self.symbols = nn.Embedding(symbols, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, hidden, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = None if tied else nn.Linear(width, symbols, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=_STD)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            # GPT-2's: what 2 * depth branches add up to does not grow with the depth
            for name in ("attention.out", "fall"):
                nn.init.normal_(block.get_submodule(name).get_parameter("weight"), std=_STD / math.sqrt(2 * depth))

    def forward(self, symbols: Tensor) -> Tensor:
        """(batch, context) whole numbers, of any type -> (batch, symbols, context), as cross-entropy takes them."""
        x = self.symbols(symbols.long()) + self.positions.weight
        x = self.norm(self.blocks(x))
        return (linear(x, self.symbols.weight) if self.head is None else self.head(x)).mT


def byte_transformer(
    *,
    num_classes: int,
    input_shape: tuple[int, ...],
    depth: Positive = 4,
    width: Width = 128,
    heads: Positive = 4,
    tied: bool = True,
) -> nn.Module:
    """GPT-2's network (Radford et al., 2019) for bytes, small: 786,432 prunable weights at a depth of 4 and width 128.

    `width` are the channels, rounded to a multiple of `heads`; the context is that of the data. Initialisation is
    GPT-2's: deviation 0.02, less before each sum.
    """
    if len(input_shape) != 1 or min(input_shape) < 1:
        raise UserError(f"input shape {tuple(input_shape)} does not fit: takes (context,), the symbols of a window")
    channels, hidden = heads * scaled(1, width / heads), scaled(_MLP_RATIO, width)
    return ByteTransformer(num_classes, input_shape[0], depth, channels, hidden, heads, tied=tied)
