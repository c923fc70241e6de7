"""Checks of one result against what is stored beside it: its epochs and its masks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...methods.listing.budget import trained_epochs
from ...methods.registry import describe
from ..exchange.sources import Source
from ..runs.eligible import at_final_sparsity
from ..runs.files import read_stored
from ..runs.run import Run
from ..runs.run_folder import RunFolder

Epochs = Sequence[Mapping[str, Any]]


def history_problem(run: Run, result: Mapping[str, Any], epochs: Epochs) -> str:
    """Whether an accuracy is that of another epoch than it says: the test set may choose none.

    The last one is that of the last planned epoch, the selected one that of the first best on validation among those
    at the final sparsity. Empty where all is as it should be.
    """
    accuracy = result["accuracy"]
    planned = trained_epochs(describe(run.method), run.sparsity, dict(run.method_options), run.recipe.trained_epochs)
    if planned is not None and len(epochs) != planned:
        return f"it has {len(epochs)} epochs, its recipe {planned}: a training that ends early chooses its last epoch"
    if not epochs:
        return ""
    last = epochs[-1]["test_accuracy"]
    if accuracy["last"] != last:
        return f"accuracy.last is {accuracy['last']}, and its last epoch has {last}"
    known = [epoch for epoch in at_final_sparsity(epochs) if epoch["validation_accuracy"] is not None]
    chosen = max(known, key=lambda epoch: epoch["validation_accuracy"]) if known else None
    expected = None if chosen is None else chosen["test_accuracy"]
    if accuracy["selected"] != expected:
        return f"accuracy.selected is {accuracy['selected']}, and the epoch that validation picks has {expected}"
    return ""


def masks_problem(source: Source) -> str:
    """Whether the stored masks keep other numbers of weights than the layers say; empty where there are none."""
    path = RunFolder(source.path).masks_path
    if path.name not in source.files:
        return ""
    kept = {layer["name"]: layer["kept"] for layer in source.result["layers"]}
    for name, number in mask_counts(read_stored(path)).items():
        if name in kept and number != kept[name]:
            return f"its mask keeps {number:,} weights of {name}, its layers say {kept[name]:,}"
    return ""


def mask_counts(content: bytes) -> dict[str, int]:
    """Weights that each mask of `masks.safetensors` keeps: bits of bytes, read without torch."""
    size = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + size])
    tensors = content[8 + size :]
    places = {name: facts["data_offsets"] for name, facts in header.items() if name != "__metadata__"}
    return {name: sum(byte.bit_count() for byte in tensors[begin:end]) for name, (begin, end) in places.items()}
