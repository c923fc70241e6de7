"""How answers of squeue and sacct are read, and what happens without an answer."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from prunebench.slurm.cluster_profile import Profile
from prunebench.slurm.commands import SlurmError, call, clean_environment
from prunebench.slurm.doctor import _time_limit
from prunebench.slurm.squeue import _expand, cache_path, forget, look


@pytest.mark.parametrize(
    ("shown", "jobs"),
    [
        ("12", ["12"]),
        ("12_7", ["12_7"]),
        ("12_[3-5,9%2]", ["12_3", "12_4", "12_5", "12_9"]),
        ("12_[0-1]", ["12_0", "12_1"]),
        ("12_[1-2,7,...]", ["12_1", "12_2", "12_7"]),
    ],
)
def test_ranges_of_arrays(shown: str, jobs: list[str]) -> None:
    assert _expand(shown) == jobs


@pytest.fixture
def no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without SLURM: none of its commands is on the path."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.mark.usefixtures("no_slurm")
def test_without_slurm_the_answer_says_so(tmp_path: Path) -> None:
    snapshot = look(["1_0"], None)
    assert snapshot.queue_error == "squeue is not installed here"
    assert snapshot.accounting_error == "sacct is not installed here"


@pytest.mark.usefixtures("no_slurm")
def test_an_answer_is_remembered_until_it_is_forgotten_or_old(tmp_path: Path) -> None:
    cache = cache_path(tmp_path)
    remembered = {
        "time": time.time(), "queue": {"1_0": {"state": "RUNNING", "reason": "", "name": "n"}},
        "ended": {}, "asked": [], "queue_error": "", "accounting_error": "",
    }  # fmt: skip
    cache.write_text(json.dumps(remembered), encoding="utf-8")
    assert look(["1_0"], cache).queue["1_0"].is_running
    assert look(["1_0", "1_1"], cache).queue_error, "a job that was not asked for needs a new question"
    cache.write_text(json.dumps({**remembered, "time": time.time() - 31}), encoding="utf-8")
    assert look(["1_0"], cache).queue_error
    cache.write_text(json.dumps(remembered), encoding="utf-8")
    forget(tmp_path)
    assert look(["1_0"], cache).queue_error


@pytest.mark.usefixtures("no_slurm")
def test_a_damaged_memory_is_no_error(tmp_path: Path) -> None:
    cache_path(tmp_path).write_text('{"queue": 3', encoding="utf-8")
    assert look(["1_0"], cache_path(tmp_path)).queue_error


def test_a_surrounding_job_and_sbatch_defaults_do_not_reach_the_jobs() -> None:
    given = {
        "SLURM_CONF": "/etc/x", "SLURM_JOB_ID": "3", "SBATCH_TIMELIMIT": "1", "SRUN_CPUS": "2", "RANK": "1",
        "SUBMITIT_EXECUTOR": "slurm", "SUBMITIT_PREEMPT_SIGNAL": "USR1", "HOME": "/root",
    }  # fmt: skip
    assert clean_environment(given) == {"SLURM_CONF": "/etc/x", "SUBMITIT_PREEMPT_SIGNAL": "USR1", "HOME": "/root"}


def test_a_command_that_hangs_or_fails_is_one_error() -> None:
    with pytest.raises(SlurmError, match=r"sleep did not answer within 0\.2 s"):
        call(["sleep", "5"], timeout=0.2)
    with pytest.raises(SlurmError, match=r"ls: .*no-such-file"):
        call(["ls", "/no-such-file"])


@pytest.mark.parametrize(
    ("limit", "is_fine"), [("infinite", True), ("5:00", False), ("1-00:00:00", True), ("n/a", None), ("?", None)]
)
def test_a_time_limit_of_any_form_does_not_stop_doctor(limit: str, is_fine: bool | None) -> None:
    assert _time_limit(Profile.model_validate({"time": "15m"}), limit).is_fine is is_fine
