"""Where and how a run is computed: nothing here is part of its id."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..api.errors import UserError

MemoryFormat = Literal["auto", "contiguous", "channels_last"]
Compile = Literal["none", "default", "reduce-overhead", "max-autotune"]

MAX_THREADS = 1024
"""Of one run; more are a slip of the keyboard, and more than a machine starts."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the machine and the session, handed to workers as plain data.

    Attributes:
        results: the results folder.
        data_root: where data sets lie; None: PRUNEBENCH_DATA or the default.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: of one run on the CPU. One by default, so that results do not depend on how many runs share a machine.
        checkpoint_every: epochs between checkpoints of a training.
        keep_weights: also store the final weights of pruned networks (dense ones always are).
        memory_format: `auto` (channels last for convolutional networks), `contiguous` or `channels_last`.
        compile: `none`, or the mode in which torch.compile makes the training step of the network; the first step
            then takes minutes. `reduce-overhead` replays CUDA graphs on a GPU.
        deterministic: ask torch for deterministic algorithms; on CUDA this costs speed.
        plugins: files with methods of the user's.
    """

    results: Path = Path("results")
    data_root: Path | None = None
    device: str = "auto"
    threads: int = 1
    checkpoint_every: int = 5
    keep_weights: bool = False
    memory_format: MemoryFormat = "auto"
    compile: Compile = "none"
    deterministic: bool = False
    plugins: tuple[str, ...] = ()


def check_device_name(name: str) -> None:
    """Raises UserError for what is no device's name; whether it is there is for torch to say."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d\d?)?", name):
        raise UserError(f"device {name!r} must be auto, cpu, cuda or cuda:N")


def default_jobs(device: str) -> int:
    """Processes on this machine: one a core on the CPU, one a GPU elsewhere (asked without loading torch)."""
    if device == "cpu" or not (Path("/proc/driver/nvidia").exists() or device.startswith("cuda")):
        return len(os.sched_getaffinity(0))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = Path("/proc/driver/nvidia/gpus")
    count = len(visible.split(",")) if visible else (len(list(gpus.iterdir())) if gpus.exists() else 1)
    return max(1, count)
