"""The machine that times are of, and the device they are measured on."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

import torch

from ..runs import provenance
from ..runs.latency_files import Machine

CPU = torch.device("cpu")


def this_machine(device: torch.device, threads: int) -> Machine:
    """What the times of this process depend on."""
    card, processor = provenance.device_facts(device), provenance.device_facts(CPU)
    return {
        "device": device.type,
        "device_name": card["device_name"],
        "processor": processor["device_name"],
        "instructions": processor["instructions"],
        "threads": threads,
        "torch": torch.__version__,
        "onnxruntime": metadata.version("onnxruntime") if find_spec("onnxruntime") else None,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
    }
