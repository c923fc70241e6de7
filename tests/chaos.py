"""Computes a small study again and again while faults are played on it, and compares with an undisturbed computation.

    python tests/chaos.py --seed 3 --rounds 20

Each round has a results folder of its own. Its command is started, disturbed and started again until the study is
complete; then every stored field but times and provenance, and every mask and weight, must be what they are without
faults. A fault is one function: `WHILE_RUNNING` is played on a command at work, `BETWEEN` on the files when none is.
Prints what was played, and ends with exit code 1 at the first difference. Everything follows from the seed but the
moments, which depend on how fast the machine is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open

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

COMMAND_SECONDS = 240.0
"""A command that takes longer hangs."""

DISK_BYTES = 4 << 20


class Difference(AssertionError):
    """The disturbed study is not what the undisturbed one is, or a command behaved badly."""


@dataclass
class Round:
    """A study that is computed under faults: its folder, and the command at work, if one is."""

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

    def start(self) -> None:
        self.commands += 1
        arguments = ["run", "study.yaml", "--jobs", "2", "--device", "cpu", "--checkpoint-every", "1"]
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
        """Wait until the condition holds no more; False if the command ended before."""
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
            with contextlib.suppress(OSError, ValueError):
                held.add(json.loads(path.read_text(encoding="utf-8"))["pid"])
        return held & self.workers()

    def forget(self) -> None:
        """Remove what is stored; the folder itself may be a disk."""
        for path in self.results.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def sleep(self, seconds: float) -> None:
        """A random moment, at most so far away."""
        time.sleep(self.chance.uniform(0.0, seconds))


# Faults for a command at work. Each waits for its moment, and returns whether it was played before the command ended.


def kill_main(state: Round) -> bool:
    """The command alone is killed; its workers have to notice."""
    state.sleep(6.0)
    return _kill(state, lambda: {state.command.pid} if state.command else set())


def kill_all(state: Round) -> bool:
    """The command and its workers at once, as when a machine loses power."""
    state.sleep(6.0)
    if not state.is_at_work():
        return False
    assert state.command is not None
    os.killpg(state.command.pid, signal.SIGKILL)
    return True


def kill_starting_worker(state: Round) -> bool:
    """Before it is ready."""
    state.wait_while(lambda: not state.workers())
    state.sleep(0.5)
    return _kill(state, lambda: state.workers() - state.computing())


def kill_computing_worker(state: Round) -> bool:
    state.wait_while(lambda: not state.computing())
    state.sleep(2.0)
    return _kill(state, state.computing)


def kill_idle_worker(state: Round) -> bool:
    """Between two runs, or while the other one computes what its runs wait for."""
    state.wait_while(lambda: len(state.computing()) < 2)
    state.wait_while(lambda: len(state.workers()) - len(state.computing()) != 1)
    return _kill(state, lambda: state.workers() - state.computing())


def interrupt(state: Round) -> bool:
    """Ctrl-C: the whole process group hears it."""
    state.sleep(6.0)
    if not state.is_at_work():
        return False
    assert state.command is not None
    os.killpg(state.command.pid, signal.SIGINT)
    return True


def fill_disk(state: Round) -> bool:
    """Until the command has ended."""
    if not state.is_disk_small:
        return False
    state.sleep(6.0)
    filler = state.results / "filler"
    state.undo.append(lambda: filler.unlink(missing_ok=True))
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return state.is_at_work()


def fill_disk_and_kill_worker(state: Round) -> bool:
    """What the dead worker began cannot be closed on record."""
    state.wait_while(lambda: not state.computing())
    return fill_disk(state) and _kill(state, state.workers)


def _kill(state: Round, find: Callable[[], set[int]]) -> bool:
    candidates = sorted(find()) if state.is_at_work() else []
    if not candidates:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(state.chance.choice(candidates), signal.SIGKILL)
    return True


# Faults for the files, between two commands. Each returns whether there was something to damage.


def tear_history(state: Round) -> bool:
    """The last line of a killed writer."""
    paths = [path for path in state.results.rglob("history.jsonl") if not (path.parent / "result.json").exists()]
    if not paths:
        return False
    with state.chance.choice(sorted(paths)).open("a", encoding="utf-8") as file:
        file.write('{"epoch": 1, "trai')
    return True


Fault = Callable[[Round], bool]
WHILE_RUNNING: tuple[Fault, ...] = (
    kill_main, kill_all, kill_starting_worker, kill_computing_worker, kill_idle_worker, interrupt, fill_disk,
    fill_disk_and_kill_worker,
)  # fmt: skip
BETWEEN: tuple[Fault, ...] = (tear_history,)
NEEDS_DISK: tuple[Fault, ...] = (fill_disk, fill_disk_and_kill_worker)


def play(state: Round, faults: Sequence[Fault], wanted: dict[str, Any]) -> Counter[str]:
    """Start the command once for each fault, then until the study is complete, and compare. Where it is complete
    before, it is compared and begins anew. How often what was played."""
    played: Counter[str] = Counter()
    for fault in faults:
        if fault in BETWEEN:
            played[fault.__name__] += fault(state)
            continue
        state.start()
        played[fault.__name__] += fault(state)
        if state.finish() == 0:
            compare(stored(state.results), wanted)
            state.forget()
    complete(state)
    compare(stored(state.results), wanted)
    return played


def complete(state: Round) -> None:
    for _ in range(3):
        state.start()
        if state.finish() == 0:
            return
    raise Difference(f"{state.log}: three undisturbed commands did not complete the study")


def stored(results: Path) -> dict[str, Any]:
    """What must not depend on faults: all fields but times and provenance, and the bytes of masks and weights."""
    found: dict[str, Any] = {}
    for path in sorted(results.rglob("result.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        del result["provenance"], result["cost"]["resumed"], result["cost"]["peak_memory_bytes"]
        found[str(path.relative_to(results))] = without_times(result)
        history = (path.parent / "history.jsonl").read_text(encoding="utf-8").splitlines()
        found[f"{path.parent.name}/history"] = [without_times(json.loads(line)) for line in history]
        for other in path.parent.glob("*.safetensors"):
            found[f"{path.parent.name}/{other.name}"] = tensors(other)
    return found


def tensors(path: Path) -> dict[str, Any]:
    """Metadata and the bytes of each tensor; the order in which the file has them is a matter of chance."""
    with safe_open(path, framework="np") as file:
        return {"metadata": file.metadata(), **{name: file.get_tensor(name).tobytes() for name in file.keys()}}  # noqa: SIM118


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if not key.endswith("seconds")}
    return value


def compare(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises Difference that names the first field that differs."""
    if found.keys() != wanted.keys():
        raise Difference(f"stored are {sorted(found)}, not {sorted(wanted)}")
    for name, value in wanted.items():
        if found[name] != value:
            fields = [key for key in value if found[name].get(key) != value[key]] if isinstance(value, dict) else []
            raise Difference(f"{name} differs {fields}")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of a few MiB on the folder, where this process may mount one; whether it did."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    is_mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    return folder


def undisturbed(folder: Path) -> dict[str, Any]:
    """The study computed without faults."""
    state = Round(make_folder(folder), random.Random(0))
    complete(state)
    return stored(state.results)


def play_round(folder: Path, chance: random.Random, wanted: dict[str, Any], faults: Sequence[Fault]) -> Counter[str]:
    """One round: play the faults on a new results folder and compare. Raises Difference."""
    make_folder(folder)
    with small_disk(folder / "results") as is_disk_small:
        state = Round(folder, chance, is_disk_small=is_disk_small)
        try:
            return play(state, faults, wanted)
        finally:
            if state.is_at_work():
                assert state.command is not None
                os.killpg(state.command.pid, signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--faults", type=int, default=4, help="in each round")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    wanted = undisturbed(folder / "undisturbed")
    total: Counter[str] = Counter()
    for number in range(arguments.rounds):
        faults = [chance.choice(WHILE_RUNNING + BETWEEN) for _ in range(arguments.faults)]
        print(f"round {number}: {', '.join(fault.__name__ for fault in faults)}", flush=True)
        try:
            total += play_round(folder / f"round-{number}", chance, wanted, faults)
        except Difference as error:
            sys.exit(f"seed {arguments.seed}, round {number} in {folder}: {error}")
        shutil.rmtree(folder / f"round-{number}")
    shutil.rmtree(folder)
    for fault in WHILE_RUNNING + BETWEEN:
        print(f"{total[fault.__name__]:4} {fault.__name__}")
    print(f"{arguments.rounds} rounds: every result is as without faults")
    if os.geteuid() != 0:
        print("not played: full disks, which take root to mount one")


if __name__ == "__main__":
    main()
