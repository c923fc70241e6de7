"""Linear layers with two zeros in each four weights, by torch's kernels for them: NVIDIA cards from 8.0, float16."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

OLDEST_CAPABILITY = (8, 0)
NO_GPU = "float16 and 2:4 kernels are measured on an NVIDIA GPU"
SMALLEST = (32, 64)
"""Rows and columns that the weight must have a multiple of, for the kernels of float16."""


def is_two_of_four(weight: Tensor) -> bool:
    """Whether each four weights beside each other have at most two that are not zero, in a shape the kernels take."""
    if weight.dim() != 2 or any(size % least for size, least in zip(weight.shape, SMALLEST, strict=True)):
        return False
    return bool((weight.view(-1, 4).count_nonzero(dim=1) <= 2).all())


def two_of_four_linears(model: nn.Module) -> list[str]:
    """Names of the linear layers that the kernels can compute."""
    layers = ((name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear))
    return [name for name, layer in layers if is_two_of_four(layer.weight)]


def why_not(model: nn.Module, device: torch.device) -> str:
    """Why the kernels cannot compute the network's layers here; empty if they can."""
    if device.type != "cuda":
        return NO_GPU
    if torch.cuda.get_device_capability(device) < OLDEST_CAPABILITY:
        return "2:4 kernels need a GPU of compute capability 8.0 or later"
    if not two_of_four_linears(model):
        rows, columns = SMALLEST
        return f"no linear layer of a multiple of {rows} x {columns} has two zeros in each four weights"
    return ""


def put_two_of_four(model: nn.Module) -> nn.Module:
    """In float16, with the weights of these layers compressed in place. Returns the model."""
    compress: Any = torch.sparse.to_sparse_semi_structured
    names = two_of_four_linears(model)
    model.half()
    for name in names:
        layer: Any = model.get_submodule(name)
        layer.weight = nn.Parameter(compress(layer.weight.detach()), requires_grad=False)
    return model
