"""Submitting arrays to a controller that is unreachable for a moment, or whose answer is lost."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.slurm.cluster_profile import Profile
from prunebench.slurm.job import RunTask
from prunebench.slurm.sbatch import RETRY_SECONDS, send
from prunebench.slurm.squeue import ask_queue

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(200)]

PROFILE = Profile.model_validate({"time": "15m", "gpus_per_run": 0, "sbatch": {"begin": "now+1hour"}})
NOBODY = "ClusterName=local\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=1\nMessageTimeout=2\n"


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    """A job name that only this test uses."""
    chosen = f"send.{tmp_path.name}.{os.getpid()}"
    yield chosen
    subprocess.run(["scancel", f"--name={chosen}"], check=True)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunebench.slurm.sbatch.RETRY_SECONDS", tuple(0.1 for _ in RETRY_SECONDS))


def elements(name: str) -> list[str]:
    return [job for job, entry in ask_queue().items() if entry.name == name]


def test_a_controller_that_comes_back_gets_the_array(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt uses a port on which nothing listens."""
    away = tmp_path / "slurm.conf"
    away.write_text(NOBODY, encoding="utf-8")
    there = os.environ["SLURM_CONF"]
    monkeypatch.setenv("SLURM_CONF", str(away))
    heard: list[str] = []

    def say(message: str) -> None:
        heard.append(message)
        monkeypatch.setenv("SLURM_CONF", there)

    job = send(tmp_path / "array", [RunTask("{}"), RunTask("{}")], PROFILE, name, None, say)
    assert len(heard) == 1
    assert "Unable to contact slurm controller" in heard[0]
    assert heard[0].endswith("next attempt in 0.1 s")
    assert sorted(elements(name)) == [f"{job}_0", f"{job}_1"]


def test_an_array_whose_number_got_lost_does_not_stay(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sbatch is stopped after the controller has taken the array, as by its time limit; the second attempt counts."""
    (tmp_path / "bin").mkdir()
    once = tmp_path / "bin" / "timeout"
    once.write_text(f'#!/bin/sh\nrm "$0"\n{shutil.which("timeout")} "$@" >"{tmp_path}/lost"\nexit 124\n')
    once.chmod(once.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    heard: list[str] = []
    job = send(tmp_path / "array", [RunTask("{}")], PROFILE, name, None, heard.append)
    assert heard == ["sbatch: sbatch did not answer within 60 s; next attempt in 0.1 s"]
    lost = (tmp_path / "lost").read_text(encoding="utf-8").split()[-1]
    assert lost != job
    assert elements(name) == [f"{job}_0"]


def test_what_the_controller_refuses_is_not_tried_again(tmp_path: Path, name: str) -> None:
    heard: list[str] = []
    with pytest.raises(UserError, match="invalid partition specified: nowhere"):
        send(tmp_path / "array", [RunTask("{}")], PROFILE.model_copy(update={"partition": "nowhere"}), name, None,
             heard.append)  # fmt: skip
    assert heard == []
    assert elements(name) == []
