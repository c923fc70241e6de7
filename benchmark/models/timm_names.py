"""Names of a vision transformer's weights in timm and in DeiT's own files, as torchvision's network has them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_PARTS = (
    (r"cls_token", "class_token"),
    (r"pos_embed", "encoder.pos_embedding"),
    (r"patch_embed\.proj\.(.*)", r"conv_proj.\1"),
    (r"blocks\.(\d+)\.norm(\d)\.(.*)", r"encoder.layers.encoder_layer_\1.ln_\2.\3"),
    (r"blocks\.(\d+)\.attn\.qkv\.(.*)", r"encoder.layers.encoder_layer_\1.self_attention.in_proj_\2"),
    (r"blocks\.(\d+)\.attn\.proj\.(.*)", r"encoder.layers.encoder_layer_\1.self_attention.out_proj.\2"),
    (r"blocks\.(\d+)\.mlp\.fc1\.(.*)", r"encoder.layers.encoder_layer_\1.mlp.0.\2"),
    (r"blocks\.(\d+)\.mlp\.fc2\.(.*)", r"encoder.layers.encoder_layer_\1.mlp.3.\2"),
    (r"norm\.(.*)", r"encoder.ln.\1"),
    (r"head\.(.*)", r"heads.head.\1"),
)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with torchvision's names, if it has timm's; any other as it is. Both compute the same network."""
    if not {"cls_token", "patch_embed.proj.weight"} <= state.keys():
        return dict(state)
    return {_name(name): tensor for name, tensor in state.items()}


def _name(name: str) -> str:
    for pattern, replacement in _PARTS:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return name
