"""Attention with fewer heads than its stream has room for, which torch's own module cannot be."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FewerHeads(nn.MultiheadAttention):
    """`nn.MultiheadAttention` with only these `heads` of another; its callers need not be changed.

    It gives no attention weights, which are means over all heads, and takes no mask of a shape for single heads.

    Attributes:
        in_proj_weight: rows of the queries, keys and values of all heads, (3 heads head_dim, embed_dim).
        out_proj: from all heads to the stream, which has `embed_dim` channels as before.
    """

    def __init__(self, attention: nn.MultiheadAttention, heads: Tensor) -> None:
        super().__init__(attention.embed_dim, attention.num_heads, device="meta")
        self.dropout, self.num_heads, self.training = attention.dropout, len(heads), attention.training
        self.takes_batch_first = attention.batch_first
        # nn.TransformerEncoderLayer computes attention that is batch first by itself, with a head for each
        # head_dim channels of the stream, and calls any other.
        self.batch_first = False
        first = heads.to(attention.out_proj.weight.device)[:, None] * self.head_dim
        channels = (first + torch.arange(self.head_dim, device=first.device)).flatten()
        for (module, name), value in _kept(attention, channels).items():
            made = None if value is None else nn.Parameter(value, attention.out_proj.weight.requires_grad)
            setattr(self.out_proj if module else self, name, made)
        self.out_proj.in_features = len(channels)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = False, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:  # fmt: skip
        """As torch's; `is_causal` is there a hint that `attn_mask` is causal, and nothing follows from it."""
        is_batched = query.ndim == 3
        arranged = [self._arranged(each, is_batched) for each in (query, key, value)]
        assert self.in_proj_weight is not None
        biases: Any = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        heads = [
            F.linear(each, weight, bias).unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2)
            for each, weight, bias in zip(arranged, self.in_proj_weight.chunk(3), biases, strict=True)
        ]
        mask = _added(attn_mask, query)
        if key_padding_mask is not None:
            padding = _added(key_padding_mask, query)
            assert padding is not None
            padding = padding.view(-1, 1, 1, padding.shape[-1])
            mask = padding if mask is None else padding + mask
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(*heads, attn_mask=mask, dropout_p=dropout)
        # as torch's attention, which does not call the module
        out = F.linear(out.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias)
        if not is_batched:
            return out.squeeze(0), None
        return (out if self.takes_batch_first else out.transpose(0, 1)), None

    def _arranged(self, tokens: Tensor, is_batched: bool) -> Tensor:
        """(batch, tokens, channels)."""
        if not is_batched:
            return tokens.unsqueeze(0)
        return tokens if self.takes_batch_first else tokens.transpose(0, 1)


def _kept(attention: nn.MultiheadAttention, channels: Tensor) -> dict[tuple[str, str], Tensor | None]:
    """The weights and biases of these channels of the heads, by module and name: into the heads, and out of them."""
    rows = torch.cat([channels + part * attention.embed_dim for part in range(3)])
    weight, bias, out = attention.in_proj_weight, attention.in_proj_bias, attention.out_proj
    assert weight is not None
    return {
        ("", "in_proj_weight"): weight.detach()[rows],
        ("", "in_proj_bias"): None if bias is None else bias.detach()[rows],
        ("out_proj", "weight"): out.weight.detach()[:, channels],
        ("out_proj", "bias"): None if bias is None else out.bias.detach().clone(),
    }


def _added(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A mask as numbers that are added to scores; True forbids, as torch's attention has it."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -torch.inf)
