"""What the process of a worker finds in its environment: its GPU, and with how many others it shares the machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...datasets.parts.decode_workers import RUNS_AT_ONCE
from ..runs.gpus import VISIBLE, own_gpu, visible_gpus
from ..runs.settings import Settings


@contextlib.contextmanager
def environment_of_worker(index: int, num_workers: int, settings: Settings) -> Iterator[Settings]:
    """Around the start of worker `index` of `num_workers`; gives the settings that it is started with.

    A worker sees one GPU. Libraries that take the first one then take its own, no worker holds memory on the GPU of
    another, and an instance of a GPU (MIG) can be used, of which CUDA shows a process only the first. Processes that
    train one network together see all GPUs: their links to each other need them.
    """
    is_distributed = int(os.environ.get("WORLD_SIZE", "1")) > 1
    gpu = None if is_distributed or settings.device == "cpu" else own_gpu(settings.device, index, visible_gpus())
    changes = {RUNS_AT_ONCE: str(num_workers), **({} if gpu is None else {VISIBLE: gpu})}
    with changed_environment(changes):
        yield settings if gpu is None or settings.device == "auto" else replace(settings, device="cuda")


@contextlib.contextmanager
def changed_environment(changes: Mapping[str, str]) -> Iterator[None]:
    """With these variables, which a process inherits that is started meanwhile."""
    saved = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
