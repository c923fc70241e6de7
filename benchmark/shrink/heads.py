"""Heads of attention that add nothing to the stream but a constant, and the network without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .fewer_heads import FewerHeads
from .removal import Removed

WEIGHTS_USED = "its attention weights are asked for, which are means over all heads"
MASK_OF_HEADS = "it is called with a mask for each head"
OTHER_KIND = "its keys or values have other sizes or extra entries, or it is used at two places"


@torch.no_grad()
def remove_dead_heads(model: nn.Module, example: Tensor) -> Removed:
    """Remove every head of `nn.MultiheadAttention` that no output depends on, in place.

    A head can go if no column of the output's projection reads it, or if its rows of the values' projection have no
    weight: then it emits its value bias wherever attention looks, which the output's projection turns into a constant
    of its bias. One head stays. The stream keeps its channels, since layer norm counts those that are zero.
    """
    removed = Removed()
    reasons = _reasons(model, example)
    for path, attention in list(model.named_modules()):
        if not isinstance(attention, nn.MultiheadAttention) or isinstance(attention, FewerHeads) or not path:
            continue
        is_dead = _is_dead(attention) if attention._qkv_same_embed_dim else torch.zeros(1, dtype=torch.bool)
        if not is_dead.any():
            continue
        if reason := reasons.get(path):
            removed.left[f"heads of {path}"] = int(is_dead.sum()), reason
            continue
        if is_dead.all():
            is_dead[0] = False
            removed.left[f"heads of {path}"] = 1, "a layer keeps one head"
        if is_dead.any():
            model.set_submodule(path, _without(attention, is_dead))
            removed.channels[f"heads of {path}"] = int(is_dead.sum())
    return removed


def _by_head(attention: nn.MultiheadAttention) -> tuple[Tensor, Tensor]:
    """The values' rows (heads, head_dim, stream) and the output's columns (stream, heads, head_dim)."""
    assert attention.in_proj_weight is not None
    shape = (attention.num_heads, attention.head_dim)
    values, columns = attention.in_proj_weight.chunk(3)[2], attention.out_proj.weight
    return values.unflatten(0, shape), columns.unflatten(1, shape)


def _is_dead(attention: nn.MultiheadAttention) -> Tensor:
    """(heads,) on the CPU."""
    values, columns = _by_head(attention)
    return (~values.ne(0).any(dim=(1, 2)) | ~columns.ne(0).any(dim=(0, 2))).cpu()


def _without(attention: nn.MultiheadAttention, is_dead: Tensor) -> FewerHeads:
    small = FewerHeads(attention, (~is_dead).nonzero().flatten())
    if attention.in_proj_bias is not None:
        _, columns = _by_head(attention)
        gone = is_dead.to(columns.device)
        constants = attention.in_proj_bias.chunk(3)[2].view(attention.num_heads, -1)[gone]
        small.out_proj.bias.add_(torch.einsum("shc,hc->s", columns[:, gone], constants))
    return small


def _reasons(model: nn.Module, example: Tensor) -> dict[str, str]:
    """Why the heads of an attention stay, by its path, from its kind and from the calls of one forward pass."""
    places = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    found: dict[str, str] = {}
    hooks = []
    for path, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            if places[id(module)] > 1 or module.bias_k is not None or module.add_zero_attn:
                found[path] = OTHER_KIND
            hooks.append(module.register_forward_pre_hook(partial(_look, found, path), with_kwargs=True))
    try:
        if hooks:
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _look(
    found: dict[str, str], path: str, module: nn.Module, inputs: tuple[Any, ...], keywords: Mapping[str, Any]
) -> None:
    names = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask")
    call = {**dict(zip(names, inputs, strict=False)), **keywords}
    mask = call.get("attn_mask")
    if call.get("need_weights", True):
        found[path] = WEIGHTS_USED
    elif mask is not None and mask.ndim == 3:
        found[path] = MASK_OF_HEADS
