"""The worker processes of ImageNet: how many there are, and which signals they react to."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from prunebench.benchmark.api.data import Split
from prunebench.benchmark.api.errors import UserError
from prunebench.datasets import registry
from prunebench.datasets.parts.decode_workers import num_workers
from prunebench.datasets.parts.image_folder_split import ImageFolderSplit
from test_imagenet import accepted, small

__all__ = ["accepted", "small"]


@pytest.mark.parametrize(
    ("seen", "variables", "expected"),
    [
        (12, {}, 12),
        (64, {}, 16),
        (12, {"LOCAL_WORLD_SIZE": "4"}, 3),
        # a task of SLURM that is bound to its processors, one that sees those of the other tasks, and a single one
        (12, {"LOCAL_WORLD_SIZE": "4", "SLURM_CPUS_PER_TASK": "12"}, 12),
        (48, {"LOCAL_WORLD_SIZE": "4", "SLURM_CPUS_PER_TASK": "12"}, 12),
        (8, {"SLURM_CPUS_PER_TASK": "8"}, 8),
        # `--jobs 4` and `runs_per_job: 4`: the runs of a machine or a task share its processors
        (12, {"PRUNEBENCH_RUNS_AT_ONCE": "4"}, 3),
        (48, {"SLURM_CPUS_PER_TASK": "8", "PRUNEBENCH_RUNS_AT_ONCE": "4"}, 2),
        (2, {"PRUNEBENCH_RUNS_AT_ONCE": "4"}, 1),
    ],
)
def test_decode_workers_are_divided_once(
    seen: int, variables: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PRUNEBENCH_WORKERS", "PRUNEBENCH_RUNS_AT_ONCE", "SLURM_CPUS_PER_TASK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(seen)))
    assert num_workers() == expected


def test_the_number_of_workers_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEBENCH_WORKERS", "7")
    assert num_workers() == 7
    monkeypatch.setenv("PRUNEBENCH_WORKERS", "many")
    with pytest.raises(UserError, match="PRUNEBENCH_WORKERS is 'many'"):
        num_workers()


def survives(split: Split, number: signal.Signals) -> bool:
    """Whether a worker of the training loader is alive after the signal, in a job whose handlers end the process."""

    def end(*_: object) -> None:
        os._exit(3)

    handlers = {name: signal.signal(name, end) for name in (signal.SIGTERM, signal.SIGUSR2)}
    try:
        next(split.batches(4, device=torch.device("cpu"), order=torch.Generator().manual_seed(1), augment=True))
        assert isinstance(split, ImageFolderSplit)
        worker = split._loaders[True, False][1]._iterator._workers[0]  # type: ignore[union-attr]
        os.kill(worker.pid, number)
        with suppress(RuntimeError):  # torch raises this when a worker dies
            worker.join(1.0 if number == signal.SIGUSR2 else 20.0)
        return worker.is_alive()
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def test_training_workers_live_from_pass_to_pass(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEBENCH_WORKERS", "1")
    split = registry.load("imagenet", root=small, validation=0).train
    assert isinstance(split, ImageFolderSplit)
    pids = set()
    for seed in (1, 2):
        order = torch.Generator().manual_seed(seed)
        assert len([*split.batches(8, device=torch.device("cpu"), order=order, augment=True)]) == 3
        pids.add(split._loaders[True, False][1]._iterator._workers[0].pid)  # type: ignore[union-attr]
    assert len(pids) == 1


def test_workers_do_not_run_the_handlers_of_their_job(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEBENCH_WORKERS", "1")
    assert survives(registry.load("imagenet", root=small).train, signal.SIGUSR2)
    assert not survives(registry.load("imagenet", root=small).train, signal.SIGTERM)
    # the same without the initialisation of workers: the inherited handler runs in the worker
    monkeypatch.setattr("prunebench.datasets.parts.image_folder_split.restore_signals", None)
    assert not survives(registry.load("imagenet", root=small).train, signal.SIGUSR2)
