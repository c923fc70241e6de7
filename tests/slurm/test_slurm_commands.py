"""Commands that show something: doctor, logs, status --watch."""

from __future__ import annotations

import getpass
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from cluster import PLUGIN, Place
from prunebench.benchmark.cli import app
from prunebench.slurm.cluster_profile import Profile
from prunebench.slurm.doctor import _account
from prunebench.slurm.limits import find_limits
from rights import may_mount
from scenarios import Scenario

pytestmark = pytest.mark.slurm


def doctor(place: Place, *arguments: str, **changes: object) -> tuple[int, str]:
    words = ["doctor", "--profile", place.profile(**changes), "--results", str(place.results), *arguments]
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.stdout


@pytest.mark.timeout(200)
def test_doctor_asks_a_node(tmp_path: Path) -> None:
    place = Place(tmp_path)
    code, shown = doctor(place)
    assert code == 0, shown
    assert "ok      compute node: node" in shown
    assert f"ok      results folder: {place.results} is shared" in shown
    assert "ok      code: the same on the node" in shown
    assert list(place.results.iterdir()) == [], "the probe leaves nothing behind"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"partition": "gpu"}, "FAILED  partition gpu: does not exist; there are: debug, preempt, short"),
        ({"partition": "short", "time": "10m"}, "FAILED  time limit: 10 minutes of at most 5:00"),
        ({"memory": "900G"}, "FAILED  batch script: sbatch: "),
        ({"sbatch": {"nodelist": "node7"}}, "FAILED  batch script: sbatch: "),
        ({"max_submit": 1, "sbatch": {"comment": "x"}}, "ok      limits: 1001 jobs an array, "),
    ],
)
def test_doctor_finds_what_the_cluster_refuses(tmp_path: Path, changes: dict[str, object], complaint: str) -> None:
    code, shown = doctor(Place(tmp_path), "--no-probe", **changes)
    assert complaint in shown
    assert code == (4 if complaint.startswith("FAILED") else 0)


@pytest.mark.timeout(200)
@pytest.mark.skipif(torch.cuda.is_available(), reason="the nodes of the test cluster are this machine, which has a GPU")
def test_doctor_misses_a_gpu(tmp_path: Path) -> None:
    """The controller grants a pretended GPU; torch sees none."""
    code, shown = doctor(Place(tmp_path), gpus_per_run=1, device="auto")
    assert code == 4
    assert "FAILED  CUDA: GPUs that torch sees on the node: none" in shown


@pytest.mark.timeout(200)
def test_doctor_finds_a_results_folder_that_nodes_do_not_see(tmp_path: Path) -> None:
    """Only this process has a disk mounted there."""
    place = Place(tmp_path)
    place.results.mkdir()
    if not may_mount(place.results):
        pytest.skip("to mount a disk takes root")
    mounted = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', str(place.results)]
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "doctor", "--profile", place.profile()]
    done = subprocess.run(
        [*mounted, *command, "--results", str(place.results)], text=True, capture_output=True, check=False
    )
    assert done.returncode == 4, done.stdout
    assert f"FAILED  results folder: {place.results} is NOT seen or not writable on the node" in done.stdout


@pytest.fixture
def account() -> Iterator[str]:
    """The accounting allows seven jobs at once; this controller does not enforce it."""
    user = getpass.getuser()
    change_accounting("add", "account", "lab")
    change_accounting("add", "user", user, "account=lab", "MaxSubmitJobs=7")
    yield "lab"
    change_accounting("delete", "user", user, "account=lab")
    change_accounting("delete", "account", "lab")


def change_accounting(*words: str) -> None:
    subprocess.run(["sacctmgr", "--immediate", *words], check=True, capture_output=True)


def test_doctor_knows_accounts_and_qualities_of_service(tmp_path: Path, account: str) -> None:
    place = Place(tmp_path)
    assert f"ok      account: {account}" in doctor(place, "--no-probe", account=account)[1]
    user = getpass.getuser()
    code, shown = doctor(place, "--no-probe", account="physics")
    assert f"?       account: {user} has no account physics; has: lab" in shown
    assert code == 0, "nothing is enforced here"
    assert f"?       account: {user} has no qos long; has: normal" in doctor(place, "--no-probe", qos="long")[1]
    assert f"ok      account: the default one of {account}" in doctor(place, "--no-probe", qos="normal")[1]
    physicist = Profile.model_validate({"time": "15m", "account": "physics"})
    assert _account(physicist, {"AccountingStorageEnforce": "associations,limits"}).is_fine is False


def test_jobs_are_as_few_as_the_user_may_queue(tmp_path: Path, account: str) -> None:
    profile = Profile.model_validate({"time": "15m", "account": account})
    assert find_limits(profile, num_queued=3).room == 4
    assert find_limits(profile, num_queued=9).room == 0
    sparsities = str([round(0.5 + 0.02 * index, 2) for index in range(12)])
    place = Place(tmp_path, sparsities=sparsities)
    try:
        assert "submitted 13 runs as 7 jobs" in place.submit(account=account, sbatch={"begin": "now+1hour"})
    finally:
        place.command("cancel", chooses=False)


@pytest.mark.timeout(900)
def test_logs_show_attempts_and_what_the_job_printed(played: dict[str, Scenario]) -> None:
    scenario = played["killed"]
    words = ["logs", scenario.first.id[:10], "--results", str(scenario.place.results)]
    shown = CliRunner().invoke(app, words).stdout
    assert "attempt 2 on node" in shown
    assert f"prunebench: {scenario.first.id} epoch 1 of 30: loss" in shown
    assert f"prunebench: {scenario.first.id} slow_mp 0.5 seed 0: done" in shown


@pytest.mark.timeout(120)
def test_watching_ends_when_nothing_is_left_to_wait_for(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.submit(sbatch={"begin": "now+1hour"})
    words = ["status", str(place.study_path), "--watch", "--results", str(place.results), "--plugin", str(PLUGIN)]
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *words, "--set", "seeds=[0]"]
    watching = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    time.sleep(4.0)
    assert watching.poll() is None
    place.command("cancel", chooses=False)
    shown, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0
    counts = [line for line in shown.splitlines() if line.startswith("fault:")]
    assert (counts[0], counts[-1]) == ("fault: 3 runs: 3 queued", "fault: 3 runs: 3 missing")
