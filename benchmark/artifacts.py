"""Weights, masks and checkpoints on disk: safetensors and weights-only checkpoints, so that no file can run code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from .errors import UserError
from .store import write_atomically


def save_weights(path: Path, state: Mapping[str, Tensor]) -> str:
    """A state dict, tensors only. Returns the SHA-256 of the file."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    content = safetensors.torch.save(tensors)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def load_weights(path: Path) -> dict[str, Tensor]:
    """The inverse of `save_weights`, on the CPU. Raises UserError naming a file that is missing or broken."""
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"cannot read weights {path}: {error}") from error


def weights_digest(path: Path) -> str:
    """SHA-256 of a file of weights, as `save_weights` returned it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_masks(path: Path, masks: Mapping[str, Tensor]) -> None:
    """Boolean masks as packed bits, one uint8 tensor a layer; shapes stand in the metadata."""
    packed = {name: torch.from_numpy(np.packbits(mask.cpu().numpy().reshape(-1))) for name, mask in masks.items()}
    shapes = json.dumps({name: list(mask.shape) for name, mask in masks.items()})
    write_atomically(path, safetensors.torch.save(packed, metadata={"format": "packed masks", "shapes": shapes}))


def load_masks(path: Path) -> dict[str, Tensor]:
    """The inverse of `save_masks`: bool tensors, True = kept."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            shapes = json.loads((file.metadata() or {})["shapes"])
            packed = {name: file.get_tensor(name) for name in shapes}
    except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"cannot read masks {path}: {error}") from error
    masks = {}
    for name, shape in shapes.items():
        bits = np.unpackbits(packed[name], count=int(np.prod(shape)))
        masks[name] = torch.from_numpy(bits.astype(bool)).view(*shape)
    return masks


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Tensors, numbers, strings, lists and dicts only: what `load_checkpoint` accepts."""
    import io

    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The only place that calls torch.load; always weights_only, no fallback. Raises UserError on a broken file."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise UserError(f"cannot read checkpoint {path}: {type(error).__name__}: {error}") from error
