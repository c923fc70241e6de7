"""The life of a worker process: loads torch once, then computes one run after another for its parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from .attempt import attempt
from .errors import UserError
from .own_process import end_after_parent, leave, restored_process
from .run import Run, from_dict
from .settings import Settings

ORPHAN_SECONDS = 60.0
"""A worker whose parent was killed has this long to stop after its epoch with a checkpoint."""

Work = Callable[[Connection, str, Settings, int], None]


@dataclass(frozen=True)
class Ready:
    """From a worker: torch is loaded, runs can come."""


@dataclass(frozen=True)
class CannotStart:
    """From a worker that failed before it was ready."""

    reason: str


@dataclass(frozen=True)
class ReadData:
    """To a worker: read the data of a run before it is to compute it. It answers with DataRead."""

    run: dict[str, Any]


@dataclass(frozen=True)
class DataRead:
    """From a worker: None, or why the data cannot be read."""

    problem: UserError | None


def run_process(target: Callable[..., None], *arguments: Any) -> None:
    """What a worker's process does: all of `target`, and then it ends, whatever methods have left behind in it."""
    try:
        target(*arguments)
    except BaseException:
        traceback.print_exc()
        leave(1)
    leave(0)


def work(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    """Runs come in as plain data, epochs and endings go out. Ends with its parent.

    `index` counts the workers that run at once.
    """
    # Ctrl-C reaches the whole process group; the parent decides, so that the checkpoint is written first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # A process that a method forks must not speak for this one, nor keep the pipe open when this one is dead.
    os.register_at_fork(after_in_child=pipe.close)
    _end_with_parent()

    def send(message: object) -> None:
        # A parent that was killed listens no more: the run stops at its next epoch, and has not failed by itself.
        with contextlib.suppress(BrokenPipeError):
            pipe.send(message)

    try:
        settings = _prepared(settings, index)
    except Exception as error:
        send(CannotStart(f"{type(error).__name__}: {error}".split("\n")[0][:500]))
        return
    send(Ready())
    with contextlib.suppress(EOFError, ConnectionResetError):
        _compute_all(pipe, send, study, settings)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        arguments = (parent.pid, ORPHAN_SECONDS)
        threading.Thread(target=end_after_parent, args=arguments, daemon=True, name="parent watch").start()


def _prepared(settings: Settings, index: int) -> Settings:
    """Load what takes long to load, and look for the device: no run can be computed without it."""
    import torch

    from ..methods.registry import add_plugin
    from .harness import choose_device

    for path in settings.plugins:
        add_plugin(path)
    settings = own_gpu(settings, index, torch.cuda.device_count())
    choose_device(settings.device)
    return settings


def _compute_all(pipe: Connection, send: Callable[[object], None], study: str, settings: Settings) -> None:
    from .harness import Watch

    watch = Watch(on_epoch=send, stop=pipe.poll)
    while (task := pipe.recv()) is not None:
        with restored_process():
            if isinstance(task, ReadData):
                send(DataRead(_why_unreadable(from_dict(task.run), settings)))
                continue
            ending = attempt(from_dict(task), study, settings, watch)
        send(ending)
        if ending.outcome == "interrupted" or ending.spoils_process:
            return


def own_gpu(settings: Settings, index: int, num_gpus: int) -> Settings:
    """Workers take the GPUs of the machine in turn, unless the settings name one of them."""
    if settings.device in ("auto", "cuda") and num_gpus > 1:
        return replace(settings, device=f"cuda:{index % num_gpus}")
    return settings


def _why_unreadable(run: Run, settings: Settings) -> UserError | None:
    """What a user can fix about the data; None where there is nothing, or something that is the run's to fail with."""
    from .harness import read_data

    try:
        read_data(run, settings)
    except UserError as error:
        return error
    except Exception:
        return None
    return None
