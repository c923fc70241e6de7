"""Each worker sees one GPU, which stands in its environment before it loads torch."""

from __future__ import annotations

import os
from pathlib import Path

import fake_workers
import pytest
from prunebench.benchmark.runs.settings import Settings
from test_pool import Played, make_runs


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("visible", "device", "expected"),
    [
        ("4,6", "auto", {"auto 4 3", "auto 6 3"}),
        ("MIG-a,MIG-b", "cuda", {"cuda MIG-a 3", "cuda MIG-b 3"}),
        ("4,6", "cuda:1", {"cuda 6 3"}),
        ("4,6", "cpu", {"cpu 4,6 3"}),
        ("", "auto", {"auto  3"}),
    ],
)
def test_a_worker_sees_its_own_gpu(
    visible: str, device: str, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    played = Played(tmp_path, fake_workers.says_environment, make_runs(*"abc"), num_workers=3)
    played.pool.settings = Settings(results=tmp_path, device=device)
    played.pool.start_all()
    played.play()
    assert {ending.reason for ending in played.endings.values()} == expected
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


@pytest.mark.timeout(60)
def test_processes_that_train_together_see_all_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    played = Played(tmp_path, fake_workers.says_environment, make_runs("a")).play()
    assert played.endings["a"].reason == "auto 0,1 1"
