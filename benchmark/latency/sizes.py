"""Bytes of a network's file: as it is stored, and packed."""

from __future__ import annotations

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from ..api.sites import find_sites


def file_bytes(model: nn.Module) -> int:
    """Bytes of the network as safetensors, zeros included."""
    return len(safetensors.torch.save(_tensors(model)))


def packed_bytes(model: nn.Module) -> int:
    """Bytes as safetensors if each prunable tensor with zeros is a bit for each weight and the values that are not."""
    sparse = {site.name for site in find_sites(model)}
    packed: dict[str, Tensor] = {}
    for name, value in _tensors(model).items():
        kept = value != 0
        if name in sparse and not kept.all():
            packed[f"{name}.mask"] = torch.from_numpy(np.packbits(kept.numpy().reshape(-1)))
            value = value[kept]
        packed[name] = value
    return len(safetensors.torch.save(packed))


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
