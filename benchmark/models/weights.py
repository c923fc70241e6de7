"""Start a network from stored weights: a local file, or a set that torchvision publishes.

Nothing is downloaded while a run executes: compute nodes have no network. `fetch_weights` is for `prepare`.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..api.errors import DataDamaged, DataMissing, UserError, unknown
from .registry import WEIGHTS_SUFFIXES, is_weights_file
from .timm_names import renamed

PUBLISHED: dict[str, str] = {
    "convnext-tiny": "convnext_tiny",
    "resnet-50": "resnet50",
    "swin-t": "swin_t",
    "vit-b-16": "vit_b_16",
}
"""Our name -> torchvision's, for the networks whose published weights fit."""

_WRAPPERS = ("state_dict", "model")
"""Where checkpoints of training scripts hold the state dict, beside the optimiser's state and the epoch."""
_PREFIXES = ("module.", "_orig_mod.")

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")


def load_weights(model: nn.Module, model_name: str, weights: str) -> None:
    """Copy stored weights into `model`, all of them and nothing else. Raises what `fitting_weights` raises."""
    model.load_state_dict(fitting_weights(model, model_name, weights))


def fitting_weights(model: nn.Module, model_name: str, weights: str) -> dict[str, Tensor]:
    """Stored weights that fit `model`, of which only the shapes are looked at: it may be on the meta device.

    Args:
        weights: path of a .safetensors, .pth or .pt state dict (or of a checkpoint that holds one, see `_WRAPPERS`;
            prefixes of wrapped networks are removed, and timm's names of vision transformers translated), or a
            pinned name of torchvision's weights.

    Raises:
        DataMissing: the file is not there.
        UserError: unknown name, damaged file, or a file of another architecture.
    """
    path = find_weights(model_name, weights)
    if not is_weights_file(weights):
        _check_hash(path)
    state = _read_state(path)
    _check_fit(model, state, path)
    return state


def find_weights(model_name: str, weights: str) -> Path:
    """The file of stored weights. Raises DataMissing if it is not there, UserError for an unknown name."""
    if is_weights_file(weights):
        path = Path(weights).expanduser()
        if not path.is_file():
            raise DataMissing(f"weights file {weights!r} of model {model_name!r} does not exist")
        return path
    path = _published_file(model_name, weights)
    if not path.is_file():
        raise DataMissing(
            f"weights {weights!r} of model {model_name!r} are not at {path}: run `prunebench prepare` "
            "on a machine with internet access"
        )
    return path


def fetch_weights(model_name: str, weights: str) -> Path:
    """The path of published weights in torch's hub cache: downloaded if absent, and their hash checked."""
    path = _published_file(model_name, weights)
    if path.is_file():
        _check_hash(path)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # torch writes to a temporary sibling and renames it once the hash agrees
    torch.hub.download_url_to_file(_published_url(model_name, weights), str(path), hash_prefix=_hash_prefix(path))
    return path


def _published_url(model_name: str, weights: str) -> str:
    if model_name not in PUBLISHED:
        raise UserError(
            f"model {model_name!r} has no published weights {weights!r}; give the path of a "
            f"{' or '.join(WEIGHTS_SUFFIXES)} file (published: {', '.join(sorted(PUBLISHED))})"
        )
    from torchvision.models import get_model_weights

    known = get_model_weights(PUBLISHED[model_name]).__members__
    if weights == "DEFAULT":
        raise UserError(
            f"weights 'DEFAULT' of model {model_name!r} moves with torchvision's release (of ResNet-50 it is "
            "now a network of 80.86 % where the paper starts at 77.0 %): "
            f"pin one of {', '.join(_pinned(known))}"
        )
    if weights not in known:
        raise unknown(f"weights of model {model_name!r}", weights, _pinned(known))
    return known[weights].value.url


def _pinned(members: Any) -> list[str]:
    return sorted(name for name in members if name != "DEFAULT")


def _published_file(model_name: str, weights: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / _published_url(model_name, weights).rsplit("/", 1)[-1]


def _hash_prefix(path: Path) -> str:
    match = _HASH_IN_NAME.search(path.name)
    if match is None:
        raise UserError(f"weights file {path.name!r} carries no hash in its name, so it cannot be verified")
    return match.group(1)


def _check_hash(path: Path) -> None:
    """Published files carry the first digits of their SHA-256 in their name; a cut download is refused."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(_hash_prefix(path)):
        raise DataDamaged(
            f"weights file {path} is damaged: its SHA-256 starts {digest[:8]}, not {_hash_prefix(path)}; "
            "delete it and run `prunebench prepare` again"
        )


def _read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of the file by name, on the CPU."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return renamed(_without_prefixes(load_file(path)))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataDamaged(f"weights file {path} cannot be read as a state dict: {reason}") from None
    wrapper = next((key for key in _WRAPPERS if isinstance(state, dict) and isinstance(state.get(key), dict)), None)
    if wrapper is not None:
        state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(
            f"weights file {path} is not a state dict: it must map names to tensors and hold nothing else, "
            f"or have such a mapping under {' or '.join(map(repr, _WRAPPERS))}"
        )
    return renamed(_without_prefixes(state))


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes that DistributedDataParallel (`module.`) and torch.compile (`_orig_mod.`) add."""
    for prefix in _PREFIXES * 2:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _check_fit(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Same names, same shapes, finite values; the first difference is named."""
    own = model.state_dict()
    for name, tensor in own.items():
        if name not in state:
            raise UserError(f"weights file {path} is of another architecture: it has no {name!r}")
        if state[name].shape != tensor.shape:
            raise UserError(
                f"weights file {path} is of another architecture: {name!r} is "
                f"{tuple(state[name].shape)} in the file, {tuple(tensor.shape)} in the network"
            )
        if not torch.isfinite(state[name]).all():
            raise UserError(f"weights file {path} holds values that are not finite in {name!r}")
    extra = next((name for name in state if name not in own), None)
    if extra is not None:
        raise UserError(f"weights file {path} is of another architecture: the network has no {extra!r}")
