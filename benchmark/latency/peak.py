"""Peak memory of one way to compute outputs: what its weights and one call take beyond what the process holds."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..training import memory


def peak_growth(make: Callable[[], Callable[[], object]], device: torch.device) -> int | None:
    """Bytes that building the way and one call add at their peak: of the allocator on CUDA, else of resident memory.

    Built and called once before, so that loaded kernels do not count. None where the system cannot reset its peak.
    """
    make()()
    memory.reset_peak(device)
    before = memory.held(device)
    if before is None or (device.type == "cpu" and memory.peak(device) > before + _SLACK):
        return None
    make()()
    return max(0, memory.peak(device) - before)


_SLACK = 2**20
"""Bytes by which a peak that was just reset may lie above resident memory."""
