"""Joules of a GPU, from the driver's counter: the one that nvidia-smi reads (NVML's total energy consumption)."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import torch

LEAST_SECONDS = 1.0
"""Of calls between two readings: the driver renews the counter a few ten times a second."""

Counter = Callable[[], float]
"""Joules since the driver was loaded."""


def open_counter(device: torch.device) -> Counter | None:
    """The counter of a device. None on a CPU, without NVML, and for cards from before Volta, which have no counter."""
    if device.type != "cuda":
        return None
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    return counter_of(library, f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def counter_of(library: Any, uuid: str) -> Counter | None:
    """The counter of the card with this UUID; None if the library gives none. Its functions return 0 on success."""
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()

    def read() -> int:
        return library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules))

    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) or read():
        return None

    def joules() -> float:
        if code := read():
            raise RuntimeError(f"NVML's energy counter answers with error {code}")
        return millijoules.value / 1000

    return joules


def joules_of_call(
    way: Callable[[], object], counter: Counter, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Mean joules of a call, the card's idle power included, over calls of at least LEAST_SECONDS together."""
    calls, begin, before = 0, clock(), counter()
    while clock() - begin < LEAST_SECONDS:
        way()
        calls += 1
    return (counter() - before) / calls
