"""Signals inside a job: which processes ignore them or die of them, and that none is lost when a worker starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prunebench.slurm.signals import WARNING, Notice

LOADER = """\
import multiprocessing, os, signal, sys, time
from prunebench.slurm.signals import leave_to_supervisor
if sys.argv[1] == "ours":
    leave_to_supervisor()
else:
    signal.signal(signal.SIGTERM, lambda number, frame: None)
os.kill(os.getpid(), signal.SIGTERM)
if sys.argv[1] == "ours":
    os.kill(os.getpid(), signal.SIGUSR2)
context = multiprocessing.get_context("fork")
child = context.Process(target=time.sleep, args=(30,))
child.start()
os.kill(child.pid, signal.SIGUSR2) if sys.argv[1] == "ours" else None
time.sleep(0.3)
alive_before = child.is_alive()
child.terminate()
child.join(1.0)
print(alive_before, child.is_alive())
child.kill()
"""


@pytest.mark.parametrize(("handlers", "answer"), [("submitit's", "True True"), ("ours", "True False")])
def test_what_a_worker_forks_dies_of_terminate(handlers: str, answer: str) -> None:
    """With a plain handler that ignores SIGTERM, as submitit installs it, the fork survives; with ours it does not. The
    worker itself survives both signals, and its fork survives SLURM's warning to the whole step.
    """
    command = [sys.executable, "-c", LOADER, handlers]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == answer


EARLY = """\
import multiprocessing, os, signal, time
from prunebench.slurm.signals import held_back, leave_to_supervisor, noticing, Notice

def worker():
    leave_to_supervisor()
    time.sleep(1.0)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    notice = Notice(60.0)
    with noticing(notice):
        child = context.Process(target=worker)
        with held_back():
            child.start()
        os.kill(child.pid, signal.SIGUSR2)
        os.kill(child.pid, signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        child.join()
    print(child.exitcode, notice.signal.name)
"""


def test_a_signal_does_not_kill_a_worker_that_still_starts(tmp_path: Path) -> None:
    script = tmp_path / "early.py"
    script.write_text(EARLY, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "0 SIGTERM"


def test_a_warning_outranks_a_termination_and_sets_the_deadline() -> None:
    notice = Notice(warning_seconds=100.0)
    notice.receive(signal.SIGTERM)
    assert notice.signal == signal.SIGTERM
    notice.receive(WARNING)
    assert notice.signal == WARNING
    assert 80.0 < notice.deadline - time.monotonic() <= 85.0
    notice.receive(signal.SIGTERM)
    assert notice.signal == WARNING, "a requeue that is decided is not taken back"
