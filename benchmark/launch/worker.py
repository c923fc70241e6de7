"""What a worker process does: load torch once, then compute one run after another for its parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
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
"""How long a worker whose parent was killed may go on, to finish its epoch and write a checkpoint."""

Work = Callable[[Connection, str, Settings, int], None]


@dataclass(frozen=True)
class Ready:
    """From a worker: torch is loaded, and it can compute runs."""


@dataclass(frozen=True)
class CannotStart:
    """From a worker that failed before it was ready. `problem`: an error that the user can fix."""

    reason: str
    problem: UserError | None = None


@dataclass(frozen=True)
class ReadData:
    """To a worker, before any run begins: read the data of `run`, and check other runs. It answers with DataRead.

    `rehearsed`: one run of each combination of network and method; see `rehearsal`. `parents`: dense trainings that
    runs start from; stored ones must be of the same data.
    """

    run: dict[str, Any]
    rehearsed: tuple[dict[str, Any], ...] = ()
    parents: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class DataRead:
    """From a worker: an error that the user can fix, or None, and warnings about networks."""

    problem: UserError | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """From a worker: a line for the user about a damaged file that was set aside."""

    line: str


def run_process(target: Callable[..., None], *arguments: Any) -> None:
    """The main function of a process: call `target`, then exit, even if methods have left threads or processes."""
    try:
        target(*arguments)
    except BaseException:
        traceback.print_exc()
        leave(1)
    leave(0)


def work(pipe: Connection, study: str, settings: Settings, _index: int) -> None:
    """Receive runs as plain data, and send epochs and endings, until the parent ends.

    What depends on the worker's number stands in the environment that it is started with: see `worker_environment`.
    """
    # Ctrl-C reaches the whole process group; only the parent handles it, so that a checkpoint is written first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # A process that a method forks must not use the pipe, nor keep it open when this process is dead.
    os.register_at_fork(after_in_child=pipe.close)
    _end_with_parent()

    def send(message: object) -> None:
        # If the parent was killed, the run stops after its epoch; it has not failed.
        with contextlib.suppress(BrokenPipeError):
            pipe.send(message)

    try:
        _prepare(settings)
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


def _prepare(settings: Settings) -> None:
    """Load torch and plug-ins, and look for the device, without which no run can be computed."""
    from ..runs.plugins import add_plugin
    from ..training.harness import choose_device

    for path in settings.plugins:
        add_plugin(path)
    choose_device(settings.device)


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


def _look(task: ReadData, study: str, settings: Settings) -> DataRead:
    """What the user can fix, or has to know; what else goes wrong is a run's own to fail with."""
    from ..preflight.network_checks import sizes_of
    from ..preflight.networks import warnings
    from ..training.harness import check_start, choose_device, read_data
    from ..training.precision import check_precisions

    rehearsed = [from_dict(each) for each in task.rehearsed]
    try:
        check_precisions([run.recipe.precision for run in rehearsed], choose_device(settings.device))
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
