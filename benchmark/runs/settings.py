"""Where and how a run is computed: nothing here is part of its id."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..api.errors import UserError

MemoryFormat = Literal["auto", "contiguous", "channels_last"]
Compile = Literal["none", "default", "reduce-overhead", "max-autotune"]
Log = Literal["none", "tensorboard", "wandb"]
CudaGraph = Literal["off", "auto"]

MAX_THREADS = 1024
"""Of one run; more are a slip of the keyboard, and more than a machine starts."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the machine and the session, handed to workers as plain data.

    Attributes:
        results: the results folder.
        data_root: the folder of data sets; None: PRUNEBENCH_DATA or the default.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: of one run on the CPU. One by default, so that results do not depend on how many runs share a machine.
        checkpoint_every: epochs between checkpoints of a training.
        keep_weights: also store the final weights of pruned networks (dense ones always are).
        memory_format: `auto` (channels last for convolutional networks), `contiguous` or `channels_last`.
        compile: `none`, or the mode in which torch.compile makes the training step of the network; the first step
            then takes minutes. `reduce-overhead` replays CUDA graphs on a GPU.
        cuda_graph: `auto` replays forward and backward pass of a training step as one CUDA graph where that can be
            done; the result records whether it was, or why not.
        deterministic: ask torch for deterministic algorithms; on CUDA this costs speed.
        plugins: files with the user's own methods.
        log: where curves of trainings are written besides `history.jsonl`; changes neither ids nor results.
    """

    results: Path = Path("results")
    data_root: Path | None = None
    device: str = "auto"
    threads: int = 1
    checkpoint_every: int = 5
    keep_weights: bool = False
    memory_format: MemoryFormat = "auto"
    compile: Compile = "none"
    cuda_graph: CudaGraph = "off"
    deterministic: bool = False
    plugins: tuple[str, ...] = ()
    log: Log = "none"


def absolute(settings: Settings) -> Settings:
    """With absolute paths, because code of a method may change the working directory."""
    return replace(
        settings,
        results=settings.results.absolute(),
        data_root=None if settings.data_root is None else Path(absolute_path(str(settings.data_root))),
        plugins=tuple(absolute_path(path) for path in settings.plugins),
    )


def absolute_path(path: str) -> str:
    """With `~` replaced; where there is no home folder it stays, and fails when it is read."""
    return str(Path(os.path.expanduser(path)).absolute())  # noqa: PTH111


THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Read by numerical libraries when they are loaded; set from `threads`."""


def check_device_name(name: str) -> None:
    """Raises UserError if it is not the name of a device; whether the device exists is checked by torch."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d\d?)?", name):
        raise UserError(f"device {name!r} must be auto, cpu, cuda or cuda:N")
