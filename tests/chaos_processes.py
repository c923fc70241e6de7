"""Faults of `chaos.py` for a running command: killed processes and full disks.

Each waits for its moment and does nothing if the command has ended by then.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from chaos_round import Fault, Round

RANDOM_MOMENT = 6.0
"""Seconds: about the time of a command on two free processors."""


def kill_main(state: Round) -> str:
    """Only the command is killed; its workers must notice."""
    state.sleep(RANDOM_MOMENT)
    return _kill(state, lambda: {state.command.pid} if state.command else set())


def kill_all(state: Round) -> str:
    """The command and its workers at once, as when a machine loses power."""
    state.sleep(RANDOM_MOMENT)
    was_at_work = state.is_at_work()
    state.kill_all()
    return "killed" if was_at_work else ""


def kill_starting_worker(state: Round) -> str:
    """A worker is killed before it is ready."""
    state.wait_while(lambda: not state.workers())
    state.sleep(0.5)
    return _kill(state, lambda: state.workers() - state.computing())


def kill_computing_worker(state: Round) -> str:
    state.wait_while(lambda: not state.computing())
    state.sleep(1.0)
    return _kill(state, state.computing)


def kill_idle_worker(state: Round) -> str:
    """While the other one computes: between two runs, or because its runs wait for that one."""
    state.wait_while(lambda: not state.computing())
    state.wait_while(lambda: len(state.workers() - state.computing()) != 1)
    return _kill(state, lambda: state.workers() - state.computing())


def interrupt(state: Round) -> str:
    """Ctrl-C, which goes to the whole process group."""
    state.sleep(RANDOM_MOMENT)
    if not state.is_at_work():
        return ""
    assert state.command is not None
    os.killpg(state.command.pid, signal.SIGINT)
    return "interrupted"


def fill_disk(state: Round) -> str:
    """The disk is full until the command has ended."""
    if not state.is_disk_small:
        return ""
    state.sleep(RANDOM_MOMENT)
    filler = state.results / "filler"
    state.undo.append(lambda: filler.unlink(missing_ok=True))
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return "full" if state.is_at_work() else ""


def fill_disk_and_kill_worker(state: Round) -> str:
    """The attempt of the dead worker cannot be recorded as ended."""
    state.wait_while(lambda: not state.computing())
    return fill_disk(state) and _kill(state, state.workers)


def _kill(state: Round, find: Callable[[], set[int]]) -> str:
    candidates = sorted(find()) if state.is_at_work() else []
    if not candidates:
        return ""
    with contextlib.suppress(ProcessLookupError):
        os.kill(state.chance.choice(candidates), signal.SIGKILL)
    return "killed"


GOES_ON = "the next run continues from the last checkpoint"
REPLACED = "a new worker replaces it, and the same command continues"
FULL = "the command ends and names the disk; when there is space again, the next run continues from the last checkpoint"

PROCESS_FAULTS = (
    Fault("main process", kill_main, f"workers end after their epoch; {GOES_ON}"),
    Fault("all processes", kill_all, GOES_ON),
    Fault("starting worker", kill_starting_worker, REPLACED),
    Fault("computing worker", kill_computing_worker, f"{REPLACED} from the last checkpoint"),
    Fault("idle worker", kill_idle_worker, REPLACED),
    Fault("Ctrl-C", interrupt, f"a checkpoint after the epoch; {GOES_ON}"),
    Fault("full disk", fill_disk, FULL),
    Fault("full disk and killed worker", fill_disk_and_kill_worker, FULL),
)
