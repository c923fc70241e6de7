"""Sentences on measured latency, for the command line and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def csr_lines(found: Mapping[str, Any]) -> list[str]:
    """A line for each linear layer and batch: from which density CSR is faster than the dense product."""
    return [_csr_line(each) for each in found["shapes"]]


def _csr_line(shape: Mapping[str, Any]) -> str:
    size = " x ".join(map(str, shape["shape"]))
    least = min(point["density"] for point in shape["points"])
    pays = shape["pays_from"]
    answer = f"pays from a density of {pays:.0%} down" if pays else f"does not pay, down to a density of {least:.0%}"
    return f"CSR of a linear layer {size} at batch {shape['batch']} {answer}"
