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

from ...datasets.parts.roots import data_root, reading_from
from ..api.errors import UserError
from ..preflight.rehearsal import rehearse
from ..runs.run import from_dict
from ..runs.settings import Settings
from ..training.own_process import end_after_parent, leave, restored_process
from .attempt import attempt

ORPHAN_SECONDS = 60.0
"""A worker whose parent was killed has this long to stop after its epoch with a checkpoint."""

Work = Callable[[Connection, str, Settings, int], None]


@dataclass(frozen=True)
class Ready:
    """From a worker: torch is loaded, runs can come."""


@dataclass(frozen=True)
class CannotStart:
    """From a worker that failed before it was ready; `problem` is what the user can fix."""

    reason: str
    problem: UserError | None = None


@dataclass(frozen=True)
class ReadData:
    """To a worker, before any run begins: read the data of a run, rehearse others. It answers with DataRead.

    `rehearsed`: one run of each combination of network and method; see `rehearsal`. `parents`: dense trainings that the
    runs start from; those that are stored must be of the same data.
    """

    run: dict[str, Any]
    rehearsed: tuple[dict[str, Any], ...] = ()
    parents: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class DataRead:
    """From a worker: None, or why nothing can be computed; and lines that warn of the networks."""

    problem: UserError | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """From a worker: a line for the user, of what was set aside as damaged."""

    line: str


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
        problem = error if isinstance(error, UserError) else None
        send(CannotStart(f"{type(error).__name__}: {error}".split("\n")[0][:500], problem))
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

    from ...methods.registry import add_plugin
    from ..training.harness import choose_device

    for path in settings.plugins:
        add_plugin(path)
    settings = own_gpu(settings, index, torch.cuda.device_count())
    choose_device(settings.device)
    return settings


def _compute_all(pipe: Connection, send: Callable[[object], None], study: str, settings: Settings) -> None:
    from ..training.harness import Watch

    watch = Watch(on_epoch=send, on_note=lambda line: send(Note(line)), stop=pipe.poll)
    while (task := pipe.recv()) is not None:
        with restored_process():
            if isinstance(task, ReadData):
                send(_look(task, study, settings))
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


def _look(task: ReadData, study: str, settings: Settings) -> DataRead:
    """What the user can fix, or has to know; what else goes wrong is a run's own to fail with."""
    from ..preflight.network_checks import sizes_of
    from ..preflight.networks import warnings
    from ..training.harness import check_start, read_data

    rehearsed = [from_dict(each) for each in task.rehearsed]
    try:
        with reading_from(data_root(settings.data_root)):
            rehearse(rehearsed)
            told = tuple(warnings(sizes_of(rehearsed)))
        data = read_data(from_dict(task.run), settings)
        for parent in task.parents:
            check_start(from_dict(parent), study, settings, data)
    except UserError as error:
        return DataRead(error)
    except Exception as error:
        # A run's own to fail with, whose record then has the traceback. It is said now: no data were looked at.
        line = f"not checked before the first run: {type(error).__name__}: {error}".split("\n")[0][:500]
        return DataRead(None, (line,))
    return DataRead(None, told)
