"""Methods for the tests of faults: Global MP that takes its time, dies, or meets a CUDA error. Used as a plug-in."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from prunebench.methods.magnitude import GlobalMagnitude

METHODS = {"slow_mp": "SlowMagnitude", "deadly_mp": "DeadlyMagnitude", "spoiled_mp": "SpoiledMagnitude"}


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


@dataclass(kw_only=True)
class SpoiledMagnitude(GlobalMagnitude):
    """Raises the errors of a file, a line in each second epoch, as long as there are any: a GPU would raise them."""

    label: ClassVar[str] = "Spoiled MP"

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        file = Path(os.environ["SPOILED_FILE"])
        lines = file.read_text(encoding="utf-8").splitlines()
        if epoch == 1 and lines:
            file.write_text("\n".join(lines[1:]), encoding="utf-8")
            raise torch.AcceleratorError(lines[0])
