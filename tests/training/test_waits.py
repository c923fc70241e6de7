"""What counts as a wait of the host: what torch warns of, and not its warning about the warnings."""

from __future__ import annotations

import warnings

import pytest
import torch
from prunebench.benchmark.training.waits import noted_waits

PROTOTYPE = "Synchronization debug mode is a prototype feature and does not yet detect all synchronizing operations"
WAIT = "called a synchronizing CUDA operation (Triggered internally at CUDAFunctions.cpp:1)"


def test_the_warning_about_the_mode_itself_is_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first use of the mode in a process warns: taken for a wait, it kept every step from being captured."""

    def set_mode(mode: str) -> None:
        if mode == "warn":
            warnings.warn(PROTOTYPE, stacklevel=1)

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", set_mode)
    with noted_waits() as lines:
        pass
    assert lines == []
    with noted_waits() as lines:
        warnings.warn(WAIT, stacklevel=1)
    assert len(lines) == 1
    assert "test_waits.py" in lines[0]
