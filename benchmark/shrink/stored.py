"""A smaller network on disk: its weights as safetensors, and a JSON that says how to build it.

FOLDER/architecture.json  weights.safetensors  network.onnx
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from ..api.errors import Damaged, UserError
from ..runs.artifacts import load_weights, save_weights
from ..runs.files import read_json, write_json
from .architecture import Architecture

ARCHITECTURE, WEIGHTS, ONNX = "architecture.json", "weights.safetensors", "network.onnx"
FORMAT = 1
"""Version of the JSON."""


def save(folder: Path, network: nn.Module, architecture: Architecture, facts: Mapping[str, Any] | None = None) -> None:
    """Write a network that `architecture` describes; the JSON last, so that a folder that has one is whole.

    `facts` are kept in it under `facts`, for readers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ARCHITECTURE).unlink(missing_ok=True)
    stored = save_weights(folder / WEIGHTS, network.state_dict())
    content = {"format": FORMAT, **asdict(architecture), "weights": stored, "facts": dict(facts or {})}
    write_json(folder / ARCHITECTURE, content)


def load(path: Path | str) -> nn.Module:
    """The network that `prunebench shrink` wrote to this folder, on the CPU in eval mode.

    Raises UserError for a folder without one, Damaged for files that are broken or do not fit each other.
    """
    folder = Path(path)
    place = folder / ARCHITECTURE
    try:
        content = read_json(place)
    except FileNotFoundError:
        raise UserError(f"{folder} has no {ARCHITECTURE}: `prunebench shrink RUN` writes it") from None
    architecture, facts = _parsed(content, place)
    network = architecture.build()
    state = load_weights(folder / WEIGHTS, facts)
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise Damaged(folder / WEIGHTS, f"it does not fit {ARCHITECTURE}: {str(error).splitlines()[-1]}") from error
    return network.eval()


def _parsed(content: Any, place: Path) -> tuple[Architecture, Mapping[str, Any]]:
    """The architecture, and size and digest of the weights."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{place} is not in format {FORMAT} of this version")
    names = Architecture.__dataclass_fields__
    if missing := sorted({*names, "weights"} - content.keys()):
        raise Damaged(place, f"it has no {missing[0]!r}")
    values = {name: content[name] for name in names}
    return Architecture(**{**values, "input_shape": tuple(values["input_shape"])}), content["weights"]
