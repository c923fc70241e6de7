"""The numbers of a run's result that must not depend on where and how often the run was started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

KEYS = ("id", "run", "accuracy", "loss", "sparsity", "macs", "layers", "data")


def numbers_of(folder: Path) -> dict[str, Any]:
    """Of one run folder: measured values, bit for bit, the history of all epochs, and the masks."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {
        **{key: result[key] for key in KEYS},
        "epochs": (folder / "history.jsonl").read_text(encoding="utf-8").splitlines(),
        "masks": _masks_of(folder / "masks.safetensors"),
    }


def _masks_of(path: Path) -> dict[str, str] | None:
    """Packed masks by layer. Not the bytes of the file: its header lists metadata in no fixed order."""
    if not path.exists():
        return None
    return {name: array.tobytes().hex() for name, array in sorted(load_file(path).items())}


def all_numbers(results: Path) -> dict[str, dict[str, Any]]:
    """Of all finished runs of a results folder, by run id."""
    paths = [*results.glob("dense/*/result.json"), *results.glob("*/runs/*/result.json")]
    return {path.parent.name: numbers_of(path.parent) for path in paths}
