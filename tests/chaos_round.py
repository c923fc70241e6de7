"""One round of `chaos.py`: a results folder, the command that is running in it, and what is stored there."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

STUDY = """\
name: chaos
dataset: {name: digits, options: {limit: 300}}
model: convnet-small
seeds: [0]
train: {epochs: 4, batch_size: 25, lr: 0.1, weight_decay: 5e-4, nesterov: true}
finetune: {epochs: 3, lr: 0.05}
runs:
  - method: dense
  - method: [global_mp, snip, set]
    sparsity: [90%]
"""

NUM_RUNS = 4

COMMAND_SECONDS = 240.0
"""Seconds. A command that takes longer counts as hanging."""


class Difference(AssertionError):
    """The disturbed study differs from the undisturbed one, or a command hung or printed a traceback."""


@dataclass
class Round:
    """A study that is computed under faults: its folder, and the running command, if there is one."""

    folder: Path
    chance: random.Random
    command: subprocess.Popen[bytes] | None = None
    commands: int = 0
    is_disk_small: bool = False
    undo: list[Callable[[], None]] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def log(self) -> Path:
        return self.folder / f"command-{self.commands}.txt"

    def start(self, *options: str) -> None:
        self.commands += 1
        arguments = ["run", "study.yaml", "--jobs", "2", "--device", "cpu", "--checkpoint-every", "1", *options]
        with self.log.open("wb") as log:
            self.command = subprocess.Popen(
                [sys.executable, "-m", "prunebench.benchmark.cli", *arguments],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def is_at_work(self) -> bool:
        return self.command is not None and self.command.poll() is None

    def wait_while(self, condition: Callable[[], bool]) -> bool:
        """Wait until the condition no longer holds; False if the command ended before."""
        end = time.monotonic() + COMMAND_SECONDS
        while condition():
            if not self.is_at_work():
                return False
            if time.monotonic() > end:
                raise Difference(f"{self.log}: the command hangs")
            time.sleep(0.01)
        return True

    def finish(self) -> int:
        """The exit code of the command, when it has ended."""
        assert self.command is not None
        self.wait_while(lambda: True)
        for restore in self.undo:
            restore()
        self.undo.clear()
        output = self.log.read_text(encoding="utf-8", errors="replace")
        if "Traceback" in output:
            raise Difference(f"{self.log}: a traceback:\n{output}")
        return self.command.returncode

    def workers(self) -> set[int]:
        """Worker processes of the command."""
        assert self.command is not None
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == self.command.pid and b"spawn_main" in (process / "cmdline").read_bytes():
                    found.add(int(process.name))
        return found

    def computing(self) -> set[int]:
        """Those of them that hold a run."""
        held = set()
        for path in self.results.rglob("claim.json"):
            # A claim may be damaged.
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                held.add(json.loads(path.read_text(encoding="utf-8"))["pid"])
        return held & self.workers()

    def kill_all(self) -> None:
        """The command and its workers at once."""
        if self.is_at_work():
            assert self.command is not None
            os.killpg(self.command.pid, signal.SIGKILL)

    def run_folders(self, *, stored: bool | None = None) -> list[Path]:
        """Folders of runs; with `stored`, only those that have a result, or have none."""
        found = sorted((*self.results.glob("dense/*"), *self.results.glob("chaos/runs/*")))
        return [path for path in found if stored is None or (path / "result.json").exists() == stored]

    def remove_results_that_start_from_dense(self) -> None:
        for path in self.run_folders():
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if json.loads((path / "result.json").read_text(encoding="utf-8"))["parent"]:
                    (path / "result.json").unlink()

    def is_complete(self) -> bool:
        return len(self.run_folders(stored=True)) == NUM_RUNS

    def complete(self) -> None:
        """Run one plain command that computes what is missing. Raises Difference if it fails."""
        self.start()
        if self.finish() != 0:
            raise Difference(f"{self.log}: one undisturbed command did not complete the study")

    def need_results(self) -> None:
        """Make sure that at least one result is stored."""
        if not self.run_folders(stored=True):
            self.complete()

    def need_unfinished(self) -> Path:
        """The folder of a run without a result; one is removed if all have theirs."""
        self.need_results()
        if not self.run_folders(stored=False):
            (self.chance.choice(self.run_folders()) / "result.json").unlink()
        return self.chance.choice(self.run_folders(stored=False))

    def need_checkpoint(self) -> Path:
        """The checkpoint of a killed run; a command is killed if there is none."""
        for _ in range(5):
            found = self.checkpoints()
            if found:
                return self.chance.choice(found)
            if self.is_complete():
                self.forget()
            self.start()
            self.wait_while(lambda: not self.checkpoints())
            self.kill_all()
            self.finish()
        raise Difference(f"{self.log}: no command left a checkpoint")

    def checkpoints(self) -> list[Path]:
        return [path for folder in self.run_folders(stored=False) for path in folder.glob("checkpoint.pt")]

    def forget(self) -> None:
        """Remove everything stored, but not the folder itself, which may be a mounted disk."""
        for path in self.results.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def reopen(self) -> None:
        """Remove everything stored, or some results."""
        if self.chance.random() < 0.5:
            self.forget()
            return
        folders = self.run_folders()
        for path in self.chance.sample(folders, self.chance.randint(1, len(folders))):
            (path / "result.json").unlink(missing_ok=True)

    def sleep(self, seconds: float) -> None:
        """Sleep for a random time of at most so many seconds."""
        time.sleep(self.chance.uniform(0.0, seconds))


@dataclass(frozen=True)
class Fault:
    """A kind of fault. `play` waits for its moment and returns in a word or two what it did: an empty text if the
    command had ended before, or if there was nothing to damage. It is injected into a running command, or between two.

    `promise`: what the suite does about it, for the table in docs/faults.md.
    """

    name: str
    play: Callable[[Round], str]
    promise: str
    is_between: bool = False
