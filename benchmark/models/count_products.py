"""Multiply-adds of products of two activations, which have no weight: attention's scores and its weighted sums.

No sparsity of weights saves any of them, so they stand beside the multiply-adds of `count_macs`, never among them.
DeiT-S at 224 x 224 has 357,663,744 of them, and 4,241,218,560 with weights: together the published 4.6 billion.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .count_macs import counting_pass

_PRODUCTS = ("aten.bmm", "aten.baddbmm")
"""Operations on two batches of matrices; a product with a weight is `mm`, `addmm` or `convolution`."""


def count_products(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-adds of one example that multiply activations with each other.

    A pass like that of `count_macs`, with attention computed step by step, so that torch's counter sees its products.
    Zero for a network without attention layers, for which nothing is computed.

    Args:
        input_shape: of one example, without the batch.
    """
    if not any(_has_products(module) for module in model.modules()):
        return 0
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        counting_pass(model, input_shape)
    counts = counter.get_flop_counts()["Global"]
    return sum(flops for operation, flops in counts.items() if str(operation) in _PRODUCTS) // 2


def _has_products(module: nn.Module) -> bool:
    """Attention layers, torch's or by their name."""
    return isinstance(module, nn.MultiheadAttention) or "attention" in type(module).__name__.lower()
