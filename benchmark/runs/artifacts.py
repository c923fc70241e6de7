"""Weights, masks, epochs and checkpoints on disk: safetensors, and checkpoints of weights only: no file can run code.

Each file is read once and compared with its SHA-256: a disk or a copy that went wrong must not give another result.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from safetensors.numpy import load as parse_arrays
from safetensors.torch import load as parse_tensors
from torch import Tensor

from ..api.errors import Damaged
from ..runs.history import history_text
from .files import read_stored, write_atomically

Facts = dict[str, Any]
"""`sha256` and `bytes` of a file, as results record them."""


def _write(path: Path, content: bytes) -> Facts:
    write_atomically(path, content)
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _read(path: Path, facts: Mapping[str, Any] | None) -> bytes:
    """The content. Raises Damaged where the file is not there, cannot be read, or is not the one of the facts."""
    try:
        content = read_stored(path)
    except FileNotFoundError:
        raise Damaged(path, "it is missing") from None
    if facts is not None and hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise Damaged(path, "its SHA-256 is not the one in its result")
    return content


def save_weights(path: Path, state: Mapping[str, Tensor]) -> Facts:
    """Store a state dict, tensors only."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    return _write(path, safetensors.torch.save(tensors))


def load_weights(path: Path, facts: Mapping[str, Any] | None) -> dict[str, Tensor]:
    """The inverse of `save_weights`, on the CPU. Raises Damaged for a file that is missing, broken or another one.

    `facts`: what the result says of the file; None for results from before that was recorded, of which only the format
    is checked.
    """
    try:
        return parse_tensors(_read(path, facts))
    except safetensors.SafetensorError as error:
        raise Damaged(path, f"it holds no weights ({error})") from error


def save_history(path: Path, epochs: Sequence[Mapping[str, Any]]) -> Facts:
    """The records of epochs as `history.jsonl`, a line each."""
    return _write(path, history_text(epochs).encode())


def save_masks(path: Path, masks: Mapping[str, Tensor]) -> Facts:
    """Boolean masks as packed bits, one uint8 tensor a layer; the metadata has the shapes.

    One entry of metadata only: the library writes several in an order that changes, and equal masks are equal files.
    """
    packed = {name: torch.from_numpy(np.packbits(mask.cpu().numpy().reshape(-1))) for name, mask in masks.items()}
    shapes = json.dumps({name: list(mask.shape) for name, mask in masks.items()})
    return _write(path, safetensors.torch.save(packed, metadata={"shapes": shapes}))


def load_masks(path: Path, facts: Mapping[str, Any] | None) -> dict[str, Tensor]:
    """The inverse of `save_masks`: bool tensors, True = kept. `facts` and errors are as for `load_weights`."""
    content = _read(path, facts)
    try:
        packed = parse_arrays(content)
        shapes = json.loads(_metadata(content)["shapes"])
        return {name: _unpacked(packed[name], shape) for name, shape in shapes.items()}
    except (safetensors.SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Damaged(path, f"it holds no masks ({error})") from error


def _metadata(content: bytes) -> Mapping[str, str]:
    """Of a file of tensors: its header is JSON, after eight bytes that say how long it is."""
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]


def _unpacked(packed: np.ndarray, shape: list[int]) -> Tensor:
    bits = np.unpackbits(packed, count=int(np.prod(shape)))
    return torch.from_numpy(bits.astype(bool)).view(*shape)


CHECKPOINT = "prunebench checkpoint 2"
"""First words of a checkpoint; the number is that of its format."""


def save_checkpoint(path: Path, run_id: str, state: Mapping[str, Any]) -> None:
    """Tensors, numbers, strings, lists and dicts only: what `load_checkpoint` accepts.

    A line before the data names the format, the run and the SHA-256 of the rest: torch compares no checksum.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    write_atomically(path, _checkpoint_line(run_id, content) + content)


def load_checkpoint(path: Path, run_id: str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The only place that calls torch.load; always weights_only, no fallback.

    Raises FileNotFoundError where there is none, Damaged for one that is broken, of another run or of another format.
    """
    line, _, content = read_stored(path).partition(b"\n")
    if line + b"\n" != _checkpoint_line(run_id, content):
        raise Damaged(path, f"it is no whole checkpoint of run {run_id} in this format")
    try:
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except (pickle.UnpicklingError, EOFError, ValueError) as error:
        # No RuntimeError: the digest was right, so that is the device's, which has no memory left for example.
        raise Damaged(path, f"{type(error).__name__}: {error}") from error


def _checkpoint_line(run_id: str, content: bytes) -> bytes:
    return f"{CHECKPOINT} run {run_id} sha256 {hashlib.sha256(content).hexdigest()}\n".encode()
