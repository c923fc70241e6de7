"""A run belongs to one process: forks of a method are ended, and what a method changes in the process is undone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

_owner: int | None = None


def take_process() -> None:
    """Note that this process computes a run."""
    global _owner
    _owner = os.getpid()


def leave_if_forked() -> None:
    """End this process if it is a fork of the one that computes the run.

    `os.fork` in a method makes such a copy, which would go on with the same run and write into the same folder.
    """
    if _owner is not None and os.getpid() != _owner:
        os._exit(0)


@contextlib.contextmanager
def restored_process() -> Iterator[None]:
    """Undo what a method's code may have changed for later runs: the working directory, the environment, the umask,
    torch's default type and its gradient mode."""
    import torch

    folder, environment = Path.cwd(), dict(os.environ)
    mask = os.umask(0)
    os.umask(mask)
    dtype, has_gradients = torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        yield
    finally:
        os.chdir(folder)
        os.umask(mask)
        if os.environ != environment:
            os.environ.clear()
            os.environ.update(environment)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(has_gradients)


def leave(code: int) -> NoReturn:
    """End this process now and kill its children.

    Python's normal exit waits for all threads and child processes, also for those of a method that never end.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    for pid in children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(code)


def children() -> set[int]:
    """The running child processes of this one; without Linux's /proc only those of multiprocessing."""
    found = {child.pid for child in multiprocessing.active_children() if child.pid is not None}
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in path.read_text(encoding="ascii").split()}
    return found


def end_after_parent(parent: int, grace: float) -> None:
    """Wait until the process `parent` has ended, and end this one `grace` seconds later.

    Until then a run can stop at the end of its epoch. A run that hangs would hold its claim forever.
    """
    while os.getppid() == parent:
        time.sleep(1.0)
    time.sleep(grace)
    leave(1)
