"""Which GPUs a process may use, by the environment and by the driver's listing, and whether MPS answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prunebench.benchmark.runs import gpus
from prunebench.benchmark.runs.gpus import default_jobs, mps_is_running, names_of, own_gpu, visible_gpus

WHOLE = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5d5b)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-77aa)
"""
CUT = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5b)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4)
  MIG 3g.20gb     Device  1: (UUID: MIG-cba6)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-77aa)
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program `nvidia-smi` that a test fills in, and no variable that limits the GPUs."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus._installed_gpus.cache_clear()
    yield program
    gpus._installed_gpus.cache_clear()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0,1", ("0", "1")),
        ("3", ("3",)),
        (" 2 , 0", ("2", "0")),
        ("MIG-c6d4,GPU-77aa", ("MIG-c6d4", "GPU-77aa")),
        ("MIG-GPU-5d5b/1/0", ("MIG-GPU-5d5b/1/0",)),
        ("", ()),
        ("NoDevFiles", ()),  # SLURM's, for a job without GPUs
        ("-1", ()),
        ("0,-1,1", ("0",)),
    ],
)
def test_gpus_that_the_environment_names(
    value: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == expected


def test_gpus_in_the_listing_of_the_driver() -> None:
    assert names_of(WHOLE) == ("0", "1")
    assert names_of(CUT) == ("MIG-c6d4", "MIG-cba6", "GPU-77aa")
    assert names_of("") == names_of("No devices found.\n") == ()


def test_the_driver_is_asked_once_and_only_without_the_variable(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = driver.parent / "calls"
    driver.write_text(f'#!/bin/sh\necho "$@" >> {calls}\ncat <<END\n{CUT}END\n', encoding="utf-8")
    assert visible_gpus() == visible_gpus() == ("MIG-c6d4", "MIG-cba6", "GPU-77aa")
    assert calls.read_text(encoding="utf-8") == "-L\n"
    assert default_jobs("auto") == default_jobs("cuda") == 3
    assert default_jobs("cuda:1") == 1
    cores = len(os.sched_getaffinity(0))
    assert default_jobs("cpu") == cores
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert default_jobs("auto") == default_jobs("cuda") == cores
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-cba6")
    assert default_jobs("auto") == 1


def test_no_gpu_where_the_driver_does_not_work(driver: Path) -> None:
    assert visible_gpus() == ()


def test_a_worker_takes_the_next_gpu_or_the_one_that_is_named() -> None:
    assert [own_gpu("auto", index, ("2", "5")) for index in range(3)] == ["2", "5", "2"]
    assert own_gpu("cuda", 1, ("MIG-a", "MIG-b")) == "MIG-b"
    assert [own_gpu("cuda:1", index, ("2", "5")) for index in range(2)] == ["5", "5"]
    assert own_gpu("cuda:7", 0, ("2", "5")) is None
    assert own_gpu("auto", 0, ()) is None
    assert own_gpu("cpu", 0, ("0",)) is None


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_mps_runs_while_its_socket_answers(kind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert not mps_is_running()
    with socket.socket(socket.AF_UNIX, kind) as service:
        service.bind(str(tmp_path / "control"))
        service.listen()
        assert mps_is_running()
    assert (tmp_path / "control").exists()  # left behind by one that has died
    assert not mps_is_running()
