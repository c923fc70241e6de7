"""Dense multiply-adds of one call of a layer, for each tensor that is pruned: how often each weight is used.

Products of activations with each other (attention's scores, a bilinear layer's second factor) have no weight that
could be pruned and count nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..api.sites import RECURRENT_LAYERS, TRANSPOSED_CONVOLUTIONS, WEIGHTED_LAYERS, Use, prunable_names

KNOWN_LAYERS = (*WEIGHTED_LAYERS, *RECURRENT_LAYERS, nn.MultiheadAttention)


def call_macs(
    module: nn.Module, inputs: Sequence[Any], keywords: Mapping[str, Any], output: Any
) -> dict[Use, int] | None:
    """Multiply-adds by (module, attribute) of one call with these arguments; None for a layer of another kind."""
    if isinstance(module, TRANSPOSED_CONVOLUTIONS):
        # Every input element is multiplied with the weights of its channel, whatever padding cuts off afterwards.
        return {(module, "weight"): _argument(inputs, keywords, 0, "input").numel() * _row_size(module.weight)}
    if isinstance(module, RECURRENT_LAYERS):
        # Each weight is used once a time step of each sequence, in each layer and direction.
        steps = _num_vectors(_argument(inputs, keywords, 0, "input"))
        return {(module, name): steps * _size(module, name) for name in prunable_names(module)}
    if isinstance(module, nn.MultiheadAttention):
        return _attention_macs(module, inputs, keywords)
    if isinstance(module, WEIGHTED_LAYERS):
        # Every output element is one dot product with a row of the weight: so it is with groups, stride, padding,
        # dilation, in one to three dimensions, and for linear layers on sequences.
        return {(module, "weight"): output.numel() * _row_size(module.weight)}
    return None


def _attention_macs(
    module: nn.MultiheadAttention, inputs: Sequence[Any], keywords: Mapping[str, Any]
) -> dict[Use, int]:
    """Each projection is used once a token of its input.

    The projection of the output belongs to a module of its own, which attention never calls: its weight is taken
    along here, once a token of the query.
    """
    tokens = [
        _num_vectors(_argument(inputs, keywords, place, name)) for place, name in enumerate(("query", "key", "value"))
    ]
    out: dict[Use, int] = {(module.out_proj, "weight"): tokens[0] * module.out_proj.weight.numel()}
    if module._qkv_same_embed_dim:
        return {(module, "in_proj_weight"): sum(tokens) * (_size(module, "in_proj_weight") // 3), **out}
    names = prunable_names(module)
    return {**{(module, name): count * _size(module, name) for count, name in zip(tokens, names, strict=True)}, **out}


def _argument(inputs: Sequence[Any], keywords: Mapping[str, Any], place: int, name: str) -> Any:
    return inputs[place] if place < len(inputs) else keywords[name]


def _num_vectors(tensor: Tensor | PackedSequence) -> int:
    """How many vectors along the last axis: batch times time steps or tokens, in any order, batch or not."""
    shape = tensor.data.shape if isinstance(tensor, PackedSequence) else tensor.shape
    return math.prod(shape[:-1])


def _row_size(weight: Tensor) -> int:
    return weight.numel() // weight.shape[0] if weight.numel() else 0


def _size(module: nn.Module, name: str) -> int:
    return getattr(module, name).numel()
