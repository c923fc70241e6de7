"""Methods that change their process: other runs and the end of the study are not affected."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "prunebench.benchmark.cli"]

STUDY = """\
name: small
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [0]
train: {epochs: 1, batch_size: 50, lr: 0.1}
runs:
  - method: METHODS
    sparsity: [90%]
    options: {start: init}
"""

PLUGIN = """
import multiprocessing, os, subprocess, sys, threading, time
from dataclasses import dataclass
from typing import ClassVar

import torch
from prunebench.methods.bases.mask_pruner import MaskPruner

METHODS = {"plain": "Plain", "wanders": "Wanders", "forks": "Forks", "fork_fails": "ForkFails", "starts": "Starts",
           "threads": "Threads", "exits": "Exits"}


@dataclass(kw_only=True)
class Plain(MaskPruner):
    label: ClassVar[str] = "Plain"
    paper: ClassVar[str] = "none"
    needs: ClassVar[str] = "weights"

    def prepare_scores(self):
        self.misbehave()

    def misbehave(self):
        pass

    def score(self, name, weight):
        return weight.abs()


@dataclass(kw_only=True)
class Wanders(Plain):
    label: ClassVar[str] = "Wanders"

    def misbehave(self):
        os.makedirs("elsewhere", exist_ok=True)
        os.chdir("elsewhere")
        os.environ["OMP_NUM_THREADS"] = "many"
        torch.set_default_dtype(torch.float64)


@dataclass(kw_only=True)
class Forks(Plain):
    label: ClassVar[str] = "Forks"

    def misbehave(self):
        os.fork()


@dataclass(kw_only=True)
class ForkFails(Plain):
    label: ClassVar[str] = "Fork fails"

    def misbehave(self):
        if os.fork() == 0:
            raise LookupError("only in the copy")


@dataclass(kw_only=True)
class Starts(Plain):
    label: ClassVar[str] = "Starts"

    def misbehave(self):
        context = multiprocessing.get_context("fork")
        context.Process(target=time.sleep, args=(600,)).start()
        short = context.Process(target=time.sleep, args=(0,))
        short.start()
        short.join()
        subprocess.Popen(["sleep", "600"])


@dataclass(kw_only=True)
class Threads(Plain):
    label: ClassVar[str] = "Threads"

    def misbehave(self):
        threading.Thread(target=time.sleep, args=(600,)).start()


@dataclass(kw_only=True)
class Exits(Plain):
    label: ClassVar[str] = "Exits"

    def misbehave(self):
        sys.exit(0)
"""

SOUND = ("plain", "wanders", "forks", "fork_fails", "starts", "threads")


def run(cwd: Path, *arguments: str, memory: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, text=True, capture_output=True, check=False, timeout=150, preexec_fn=limit
    )


def write_study(cwd: Path, *methods: str) -> None:
    (cwd / "study.yaml").write_text(STUDY.replace("METHODS", f"[{', '.join(methods)}]"), encoding="utf-8")
    (cwd / "odd.py").write_text(PLUGIN, encoding="utf-8")


@pytest.mark.timeout(200)
def test_no_run_suffers_from_what_another_does_to_the_process(tmp_path: Path) -> None:
    write_study(tmp_path, *SOUND, "exits")
    begin = time.time()
    done = run(tmp_path, "run", "study.yaml", "--plugin", "odd.py", "--jobs", "1", "--device", "cpu")
    assert "6 computed, 1 failed" in done.stderr, done.stderr
    assert "SystemExit: 0" in done.stderr
    assert "LookupError" not in done.stderr
    results = [json.loads(path.read_text()) for path in (tmp_path / "results/small/runs").glob("*/result.json")]
    assert sorted(result["run"]["method"] for result in results) == sorted(SOUND)
    assert len({(result["accuracy"]["last"], result["loss"]["last"]) for result in results}) == 1, "all score alike"
    for path in (tmp_path / "results/small/runs").glob("*"):
        assert len((path / "history.jsonl").read_text().splitlines()) == 1 or not (path / "result.json").exists()
    assert not list((tmp_path / "elsewhere").iterdir())
    assert time.time() - begin < 120
    assert not left_behind(tmp_path)


def left_behind(cwd: Path) -> list[str]:
    """Processes that still have the folder of the test as working directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(cwd):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.timeout(100)
@pytest.mark.skipif(sys.platform != "linux", reason="no other system bounds the address space")
def test_that_torch_does_not_fit_into_memory_is_reported(tmp_path: Path) -> None:
    write_study(tmp_path, "plain")
    done = run(tmp_path, "run", "study.yaml", "--plugin", "odd.py", "--jobs", "2", memory=600 << 20)
    assert done.returncode == 1, done.stderr
    assert "small: stopped, 1 runs are left: no worker process can be started on " in done.stderr
    assert "0 computed, 0 failed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(100)
@pytest.mark.parametrize("device", ["cuda:99"])
def test_a_device_that_is_not_there_fails_no_run(device: str, tmp_path: Path) -> None:
    write_study(tmp_path, "plain")
    done = run(tmp_path, "run", "study.yaml", "--plugin", "odd.py", "--jobs", "1", "--device", device)
    assert done.returncode == 2, done.stderr
    assert f"device '{device}' asked for, but torch sees" in done.stderr
    assert not list((tmp_path / "results").rglob("attempts/*.json"))
