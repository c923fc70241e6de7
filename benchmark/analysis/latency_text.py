"""Sentences on measured latency, for the command line and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def csr_lines(found: Mapping[str, Any]) -> list[str]:
    """A line for each linear layer: from which density down its product by CSR is faster than the dense one."""
    shapes: dict[str, list[str]] = {}
    for each in found["shapes"]:
        shapes.setdefault(" x ".join(map(str, each["shape"])), []).append(_answer(each))
    return [f"CSR of a linear layer {size} pays {', '.join(answers)}" for size, answers in shapes.items()]


def _answer(measured: Mapping[str, Any]) -> str:
    pays, least = measured["pays_from"], min(point["density"] for point in measured["points"])
    where = f"from a density of {pays:.0%} down" if pays else f"at no density down to {least:.0%}"
    return f"{where} at batch {measured['batch']}"
