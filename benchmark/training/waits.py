"""Where the host waits for a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

WAIT = "called a synchronizing CUDA operation"
"""What torch's warning says of a wait. The first use of the mode in a process warns too, that it is a prototype."""


@contextmanager
def noted_waits() -> Iterator[list[str]]:
    """Lists, after the block, the lines of code in which the host waited for the GPU. Only where there is one."""
    lines: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lines
        finally:
            torch.cuda.set_sync_debug_mode("default")
    lines += [f"{each.filename}:{each.lineno}" for each in caught if WAIT in str(each.message)]
