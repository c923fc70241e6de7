"""The worker pool, with workers that die, cannot start, or fail because of their machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_workers
import pytest
from prunebench.benchmark.launch.attempt import Ending
from prunebench.benchmark.launch.pool import WorkerPool
from prunebench.benchmark.launch.worker_limit import NoWorker
from prunebench.benchmark.launch.worker_process import close_attempt, end_process
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store


def make_runs(*methods: str) -> list[Run]:
    recipe = Recipe(epochs=1)
    return [
        Run(dataset="digits", model="m", method=method, sparsity=0.5, seed=seed, recipe=recipe)
        for seed, method in enumerate(methods)
    ]


class Played:
    """A pool that gets runs until all have ended, and the calls that it made."""

    def __init__(self, results: Path, target: Any, runs: list[Run], num_workers: int = 1, **changes: Any) -> None:
        self.endings: dict[str, Ending] = {}
        self.said: list[str] = []
        self.waiting = list(runs)
        self.pool = WorkerPool(
            study="s", settings=Settings(results=results), num_workers=num_workers, on_end=self.end,
            on_epoch=lambda run, record: None, say=self.said.append, target=target, **changes,
        )  # fmt: skip

    def end(self, run: Run, ending: Ending) -> None:
        assert run.method not in self.endings, "each run ends once"
        self.endings[run.method] = ending

    def take(self) -> Run | None:
        return self.waiting.pop(0) if self.waiting else None

    def play(self, disturb: Callable[[], None] = lambda: None) -> Played:
        try:
            while self.waiting or self.pool.is_busy:
                self.pool.assign(self.take)
                self.pool.collect(0.1)
                disturb()
        finally:
            self.pool.end()
        return self

    @property
    def outcomes(self) -> dict[str, str]:
        return {method: ending.outcome for method, ending in self.endings.items()}


@pytest.mark.timeout(60)
def test_a_worker_that_dies_idle_is_replaced(tmp_path: Path) -> None:
    """It had been given a run and had not begun it: the run goes to another worker."""
    played = Played(tmp_path, fake_workers.dies_idle, make_runs("a", "b")).play()
    assert played.outcomes == {"a": "done", "b": "done"}
    assert (tmp_path / "died").exists()


@pytest.mark.timeout(60)
def test_an_idle_worker_that_is_killed_does_not_end_the_study(tmp_path: Path) -> None:
    runs = make_runs("a", "b")
    played = Played(tmp_path, fake_workers.works, runs)
    played.pool.start_all()
    while not played.pool.workers[0].is_ready:
        played.pool.collect(0.1)
    process = played.pool.workers[0].process
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert played.play().outcomes == {"a": "done", "b": "done"}


@pytest.mark.timeout(60)
def test_a_run_whose_worker_is_killed_has_failed_and_the_others_go_on(tmp_path: Path) -> None:
    runs = make_runs("dies", "a")
    played = Played(tmp_path, fake_workers.works, runs).play()
    assert played.endings["dies"] == Ending("failed", "worker killed by SIGKILL", retryable=True)
    assert played.outcomes["a"] == "done"
    (attempt,) = Store(tmp_path).folder("s", runs[0]).attempts()
    assert (attempt["outcome"], attempt["reason"]) == ("failed", "worker killed by SIGKILL")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("target", "why"),
    [
        (fake_workers.cannot, "ImportError: libtorch.so: failed to map segment"),
        (fake_workers.dies_early, "killed by SIGABRT"),
    ],
)
def test_the_reason_why_no_worker_starts_is_reported(target: Any, why: str, tmp_path: Path) -> None:
    played = Played(tmp_path, target, make_runs("a", "b"), num_workers=2)
    with pytest.raises(NoWorker, match=f"^no worker process can be started on .*: {why}$"):
        played.play()
    assert played.endings == {}


@pytest.mark.timeout(60)
def test_a_worker_that_started_does_the_work_of_those_that_did_not(tmp_path: Path) -> None:
    played = Played(tmp_path, fake_workers.only_the_first_starts, make_runs(*"abcd"), num_workers=2).play()
    assert set(played.outcomes.values()) == {"done"}
    assert len(played.outcomes) == 4


@pytest.mark.timeout(60)
def test_a_worker_whose_machine_is_at_fault_takes_no_more_runs(tmp_path: Path) -> None:
    runs = make_runs("a", *["machine"] * 9)
    endings: list[str] = []
    played = Played(tmp_path, fake_workers.works, runs)
    played.pool.on_end = lambda run, ending: endings.append(ending.outcome)
    with pytest.raises(
        NoWorker, match=r"^3 runs in a row failed by the fault of the machine: node: DataMissing: mnist$"
    ):
        played.play()
    assert endings == ["done", "failed", "failed", "failed"]
    assert played.said[0].startswith("a worker on ")


@pytest.mark.timeout(60)
def test_a_run_that_spoiled_its_process_is_tried_once_more_in_a_new_one(tmp_path: Path) -> None:
    runs = make_runs("spoiled_once", "spoiled", "asserted", "a")
    played = Played(tmp_path, fake_workers.works, runs).play()
    assert played.outcomes == {"spoiled_once": "done", "spoiled": "failed", "asserted": "failed", "a": "done"}
    assert not played.endings["asserted"].retryable
    pids = [attempt["pid"] for run in runs[:3] for attempt in Store(tmp_path).folder("s", run).attempts()]
    assert len(pids) == 6
    assert len(set(pids)) >= 5, "no process goes on after it was spoiled"
    assert "tried again in a new process" in played.said[0]


@pytest.mark.timeout(60)
def test_several_processes_of_one_run_are_not_replaced(tmp_path: Path) -> None:
    """The others would wait for the new one for half an hour."""
    played = Played(tmp_path, fake_workers.works, make_runs("dies", "a"), can_replace=False)
    with pytest.raises(NoWorker, match=r"^the worker killed by SIGKILL$"):
        played.play()
    assert played.outcomes == {"dies": "failed"}


def test_a_full_disk_does_not_stop_the_pool_when_a_worker_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = make_runs("a")
    folder = Store(tmp_path).folder("s", run)
    folder.write_attempt(1, {"pid": 7, "outcome": None})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "write_attempt", full)
    assert close_attempt(Store(tmp_path), "s", run, 7, Ending("failed", "worker killed by SIGKILL", True))
    assert not close_attempt(Store(tmp_path), "s", run, 8, Ending("failed", "", True)), "another process's attempt"
    assert folder.status().state == "interrupted"


ORPHAN = """\
import multiprocessing, os, sys, threading, time
from prunebench.benchmark.training.own_process import end_after_parent

def hang():
    threading.Thread(target=end_after_parent, args=(os.getppid(), 0.1), daemon=True).start()
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=hang)
    child.start()
    child.join()
"""


@pytest.mark.timeout(60)
def test_a_worker_that_hangs_ends_after_its_parent(tmp_path: Path) -> None:
    (tmp_path / "orphan.py").write_text(ORPHAN, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, str(tmp_path / "orphan.py")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 30
    while Path(f"/proc/{worker}").exists() and "\nState:\tZ" not in Path(f"/proc/{worker}/status").read_text():
        assert time.monotonic() < end, "the worker outlived its parent"
        time.sleep(0.1)


def test_the_end_of_a_process_is_seen_where_others_keep_its_pipes_open() -> None:
    class Dead:
        """Like a process of multiprocessing, whose join(timeout) waits for a pipe that a grandchild has inherited."""

        killed = joined = False

        def is_alive(self) -> bool:
            return False

        def kill(self) -> None:
            self.killed = True

        def join(self) -> None:
            self.joined = True

    process, begin = Dead(), time.monotonic()
    end_process(process, 10.0)
    assert time.monotonic() - begin < 1.0
    assert process.joined
