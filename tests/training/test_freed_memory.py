"""A process keeps the memory that tensors free while it trains, and the next run does not count it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.training import memory

CPU = torch.device("cpu")
needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is set is set in glibc")

FAULTS = """
import resource, sys, torch
from prunebench.benchmark.training import memory
if "keep" in sys.argv:
    assert memory.keep_freed(torch.device("cpu"))
def use():
    for _ in range(20):
        torch.ones(16_000_000)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

PEAKS = """
import torch
from prunebench.benchmark.training import memory
cpu = torch.device("cpu")
memory.keep_freed(cpu)
memory.reset_peak(cpu)
large, last = torch.ones(100_000_000), torch.ones(1000)
del large
print(memory.peak(cpu))
memory.reset_peak(cpu)
print(memory.peak(cpu))
"""


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("MALLOC_") or name in {"GLIBC_TUNABLES", "LD_PRELOAD"}:
            monkeypatch.delenv(name)


def numbers(script: str, *arguments: str) -> list[int]:
    """The numbers that a script prints, run in a process of its own because the setting cannot be undone."""
    command = [sys.executable, "-c", script, *arguments]
    return [int(line) for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


@needs_glibc
def test_freed_memory_is_used_again_without_page_faults() -> None:
    (kept,), (returned,) = numbers(FAULTS, "keep"), numbers(FAULTS)
    assert kept * 10 < returned


@needs_glibc
def test_the_peak_of_a_run_leaves_out_what_the_one_before_had() -> None:
    first, second = numbers(PEAKS)
    assert first - second > 0.9 * 400_000_000


@needs_glibc
@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_ARENA_MAX", "2"), ("LD_PRELOAD", "/usr/lib/libjemalloc.so.2"),
     ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072")],
)  # fmt: skip
def test_the_users_allocator_is_left_alone(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.keep_freed(CPU)
    monkeypatch.setenv(name, value)
    assert not memory.keep_freed(CPU)


def test_only_glibc_and_the_cpu_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not memory.keep_freed(torch.device("cuda"))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.keep_freed(CPU)
    memory.reset_peak(CPU)


@pytest.mark.parametrize("expected", [pytest.param(True, marks=needs_glibc), False])
def test_a_result_says_whether_its_process_kept_memory(
    expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not expected:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    run = Run(dataset="digits", model="convnet-small", method="dense", seed=0, recipe=Recipe(epochs=1, lr=0.05))
    assert attempt(run, "s", Settings(results=tmp_path, device="cpu")).outcome == "done"
    result = Store(tmp_path).folder("s", run).read_result()
    assert result is not None
    assert result["provenance"]["execution"]["keeps_freed_memory"] is expected
