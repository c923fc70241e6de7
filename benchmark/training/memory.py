"""Peak memory of a run, and whether the process keeps the memory that tensors free on a CPU."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

import torch

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of mallopt, as malloc.h of glibc numbers them."""


def keep_freed(device: torch.device) -> bool:
    """Make this process keep the memory that tensors free, for those of the next step. Returns whether it does.

    By default glibc returns large freed blocks to the system, so every training step maps its activations in again,
    page by page: up to a fifth of its time (benchmark/perf/NOTES.md). This does nothing and returns False on other
    devices, with other C libraries, and if the user has chosen or configured an allocator in the environment.
    """
    if device.type != "cpu" or _environment_sets_malloc():
        return False
    libc = _glibc()
    # never trim the top of the heap, and take no block outside the heap: it would be unmapped when it is freed
    return libc is not None and libc.mallopt(TRIM_THRESHOLD, -1) == 1 and libc.mallopt(MMAP_MAX, 0) == 1


def _environment_sets_malloc() -> bool:
    chosen = "malloc" in os.environ.get("LD_PRELOAD", "") or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    return chosen or any(name.startswith("MALLOC_") for name in os.environ)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None


def reset_peak(device: torch.device) -> None:
    """Reset the peak and return kept memory to the system: one process computes many runs."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # this kernel cannot reset it: the peak is that of the whole process


def peak(device: torch.device) -> int:
    """Peak bytes: of the allocator on CUDA, of the process's resident set (libraries included) on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    found = _resident_bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if found is None else found


def held(device: torch.device) -> int | None:
    """Bytes that are held now, of the kind whose peak `peak` gives; None where the system does not tell."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else _resident_bytes("VmRSS")


def _resident_bytes(line: str) -> int | None:
    """A line of Linux's status of this process."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(each.split()[1]) * 1024 for each in lines if each.startswith(line)), None)
