"""The ways to compute a network's outputs that are measured, and the words for a machine. Loads nothing slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .number_of import number_of

VARIANTS: dict[str, str] = {
    "dense": "before pruning",
    "masked": "pruned, zeros stored",
    "shrunk": "pruned, empty channels removed",
    "csr": "pruned, linear layers as CSR",
    "dense-half": "before pruning, float16",
    "2:4-half": "pruned, 2:4 kernels, float16",
    "dense-onnx": "before pruning, ONNX Runtime",
    "masked-onnx": "pruned, zeros stored, ONNX Runtime",
    "shrunk-onnx": "pruned, empty channels removed, ONNX Runtime",
    "int8-onnx": "before pruning, INT8, ONNX Runtime",
}
"""Ways to compute a network's outputs, and their names in tables. ONNX Runtime computes on the CPU."""

NOT_PRUNED, PRUNED = "the network is not pruned", "the network is pruned"
NOT_APPLICABLE = (NOT_PRUNED, PRUNED)
"""Reasons why a variant is left out that no reader asks for."""


def machine_text(machine: Mapping[str, Any]) -> str:
    """The machine in one line, as tables and messages name it."""
    threads = number_of(machine["threads"], "thread")
    parts = [machine["device_name"], *([f"CPU {machine['processor']}"] * (machine["device"] != "cpu"))]
    parts += [threads, f"torch {machine['torch']}"]
    parts += [f"ONNX Runtime {machine['onnxruntime']}"] * bool(machine["onnxruntime"])
    return ", ".join(parts)
