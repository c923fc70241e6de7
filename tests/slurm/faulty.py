"""Methods for the tests of faults: a slow Global MP, and one that dies. Used as a plug-in."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from prunebench.methods.magnitude import GlobalMagnitude

METHODS = {"slow_mp": "SlowMagnitude", "deadly_mp": "DeadlyMagnitude"}


@dataclass(kw_only=True)
class SlowMagnitude(GlobalMagnitude):
    """Sleeps after every epoch, for as long as the environment says; this changes no number."""

    label: ClassVar[str] = "Slow MP"

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        super().on_epoch_end(index, epoch, optimizer)
        time.sleep(float(os.environ.get("SLOW_SECONDS", "0")))


@dataclass(kw_only=True)
class DeadlyMagnitude(GlobalMagnitude):
    """Its process is killed in the first epoch, as the kernel does when memory runs out."""

    label: ClassVar[str] = "Deadly MP"

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
