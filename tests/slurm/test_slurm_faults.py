"""Faults on a real cluster, all at once: whatever happens to a job, the others finish, `status` tells the truth, and a
second `submit` completes the study with the numbers of an undisturbed one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cluster import Place, wait_until
from prunebench.benchmark.claim import Claim
from prunebench.benchmark.run import Run
from prunebench.benchmark.store import Store
from prunebench.slurm.queue import ask_queue
from prunebench.slurm.states import RunState
from tool import slurm_local

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

SLOW = {"SLOW_SECONDS": "1"}
PATIENCE = 400.0


@dataclass
class Scenario:
    """A place with a fault: what was seen right after it, and after everything came to rest."""

    place: Place
    at_fault: dict[str, RunState] = field(default_factory=dict)
    at_rest: dict[str, RunState] = field(default_factory=dict)

    @property
    def first(self) -> Run:
        return self.place.runs[0]

    @property
    def second(self) -> Run:
        return self.place.runs[1]

    def job_of(self, run: Run) -> str:
        return self.place.state(run).job


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Undisturbed results, by the local launcher."""
    return Place(tmp_path_factory.mktemp("reference"), seeds="[0, 1]")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, reference: Place) -> dict[str, Scenario]:
    """All scenarios side by side: submit, disturb, wait; look; submit again, wait."""
    root = tmp_path_factory.mktemp("faults")
    # a folder name with a blank must survive batch scripts and command lines
    scenarios = {"dead seed": Scenario(Place(root / "dead seed", seeds="[0, 1]"))}
    scenarios["dead seed"].place.submit()
    kill_dense_of_seed_one(scenarios["dead seed"])
    compute_here(reference)

    scenarios |= {
        "killed": Scenario(Place(root / "killed")),
        "time limit": Scenario(Place(root / "limit", sparsities="[50%]")),
        "preempted": Scenario(Place(root / "preempted", sparsities="[50%]")),
        "given up": Scenario(Place(root / "given-up", sparsities="[50%]")),
        "held": Scenario(Place(root / "held", sparsities="[50%]")),
    }
    for name in list(scenarios)[1:]:
        scenarios[name].place.take_dense_from(reference)
    scenarios["held"].place.submit()
    held = Claim.take(Store(scenarios["held"].place.results).folder("fault", scenarios["held"].first).path)
    assert held is not None, "the job needs seconds to load torch before it claims its run"
    scenarios["killed"].place.submit(environment=SLOW)
    scenarios["given up"].place.submit(environment=SLOW, max_requeues=0)
    scenarios["preempted"].place.submit(environment=SLOW, partition="preempt", gpus_per_run=1)
    scenarios["time limit"].place.submit(environment={"SLOW_SECONDS": "4"}, time="2m")

    kill_process(scenarios["killed"])
    warn(scenarios["given up"])
    preempt(scenarios["preempted"])
    slurm_local("restart-controller")
    release(scenarios["held"], held)
    for scenario in scenarios.values():
        wait_until(scenario.place.is_idle, PATIENCE, f"{scenario.place.folder.name} to come to rest")
        scenario.at_rest = scenario.place.look().states
    for scenario in scenarios.values():
        if scenario.place.counts().keys() != {"done"}:
            scenario.place.submit()
    for scenario in scenarios.values():
        wait_until(scenario.place.is_idle, PATIENCE, f"{scenario.place.folder.name} to be completed")
    return scenarios


def compute_here(place: Place) -> None:
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", str(place.study_path), "--jobs", "2"]
    plugin = Path(__file__).with_name("faulty.py")
    subprocess.run(
        [*command, "--results", str(place.results), "--plugin", str(plugin)], check=True, capture_output=True
    )


def wait_for_epochs(scenario: Scenario, run: Run, number: int) -> None:
    wait_until(lambda: scenario.place.num_epochs(run) >= number, PATIENCE, f"{number} epochs of {run.id}")


def kill_dense_of_seed_one(scenario: Scenario) -> None:
    dense = scenario.place.runs[1].parent or scenario.place.runs[1]
    assert dense.seed == 1
    job = scenario.job_of(dense)
    wait_until(lambda: not ask_queue().get(job) or ask_queue()[job].is_running, PATIENCE, "the dense training to start")
    subprocess.run(["scancel", job], check=True)
    wait_until(lambda: job not in ask_queue(), PATIENCE, "the cancelled job to leave")
    scenario.at_fault = scenario.place.look().states


def process_of(job: str) -> int:
    """The process that submitit started for a job, found by the environment that SLURM gave it."""
    array, index = job.split("_")
    wanted = {f"SLURM_ARRAY_JOB_ID={array}".encode(), f"SLURM_ARRAY_TASK_ID={index}".encode()}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = set((path / "environ").read_bytes().split(b"\0"))
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if wanted <= environment and b"submitit.core._submit" in command and b"srun" not in command:
            return int(path.name)
    raise AssertionError(f"no process of job {job}")


def kill_process(scenario: Scenario) -> None:
    wait_for_epochs(scenario, scenario.first, 2)
    os.kill(process_of(scenario.job_of(scenario.first)), signal.SIGKILL)


def warn(scenario: Scenario) -> None:
    """SLURM's warning, to all processes of the step as SLURM sends it."""
    wait_for_epochs(scenario, scenario.first, 2)
    subprocess.run(["scancel", "--signal=USR2", scenario.job_of(scenario.first)], check=True)


def preempt(scenario: Scenario) -> None:
    """A job of a higher partition that needs every GPU of the cluster."""
    wait_for_epochs(scenario, scenario.first, 2)
    urgent = ["sbatch", "--partition=debug", "--nodes=2", "--gpus-per-node=2", "--output=/dev/null", "--wrap=sleep 3"]
    subprocess.run(urgent, check=True, capture_output=True)


def release(scenario: Scenario, claim: Claim) -> None:
    """The job has started while another process held its run; give it some time to find that out."""
    wait_until(lambda: scenario.place.record(scenario.first).starts, PATIENCE, "the job to start")
    time.sleep(15.0)
    scenario.at_fault = scenario.place.look().states
    assert not Store(scenario.place.results).folder("fault", scenario.first).attempts()
    claim.release()


SCENARIOS = ("dead seed", "killed", "time limit", "preempted", "given up", "held")


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_the_end_all_is_as_if_nothing_had_happened(name: str, played: dict[str, Scenario], reference: Place) -> None:
    place = played[name].place
    assert place.counts().keys() == {"done"}
    found, wanted = place.numbers(), reference.numbers()
    assert {run.id for run in place.runs} <= found.keys()
    assert found == {run_id: wanted[run_id] for run_id in found}


def test_one_dead_seed_blocks_only_its_own_runs(played: dict[str, Scenario]) -> None:
    scenario = played["dead seed"]
    for run in scenario.place.runs:
        state = scenario.at_rest[run.id]
        if run.seed == 0:
            assert state.state == "done"
            continue
        assert run.parent is not None
        assert scenario.at_fault[run.id].state == "blocked", "also while its job still waits in the queue"
        assert state.state == "blocked"
        assert f"its dense training {run.parent.id} was lost: its job ended as CANCELLED" in state.reason
        assert scenario.at_rest[run.parent.id].state == "lost"


def test_a_killed_task_is_lost_with_its_reason_and_log(played: dict[str, Scenario]) -> None:
    scenario = played["killed"]
    lost = scenario.at_rest[scenario.first.id]
    assert lost.state == "lost"
    assert "its job ended as FAILED on node" in lost.reason
    assert "exit code" in lost.reason
    assert lost.log is not None
    assert f"{scenario.first.id} epoch 1 of 30" in lost.log.read_text(encoding="utf-8")
    assert scenario.at_rest[scenario.second.id].state == "done"


def test_a_run_over_the_time_limit_is_requeued_and_resumes(played: dict[str, Scenario]) -> None:
    """No second submission was needed; every start went on from the epoch where the one before had stopped."""
    scenario = played["time limit"]
    assert scenario.at_rest[scenario.first.id].state == "done"
    check_requeued(scenario)


def test_a_preempted_run_is_requeued_and_resumes(played: dict[str, Scenario]) -> None:
    scenario = played["preempted"]
    assert scenario.at_rest[scenario.first.id].state == "done"
    check_requeued(scenario)


def check_requeued(scenario: Scenario) -> None:
    place, run = scenario.place, scenario.first
    assert place.record(run).requeues >= 1
    folder = Store(place.results).folder("fault", run)
    attempts = folder.attempts()
    assert [attempt["outcome"] for attempt in attempts] == ["interrupted"] * (len(attempts) - 1) + ["done"]
    assert len(attempts) == place.record(run).requeues + 1
    result = folder.read_result()
    assert result is not None
    assert result["cost"]["resumed"] == len(attempts) - 1
    epochs = [record["epoch"] for record in folder.history()]
    assert epochs == list(range(30))


def test_the_number_of_requeues_is_bounded(played: dict[str, Scenario]) -> None:
    scenario = played["given up"]
    state = scenario.at_rest[scenario.first.id]
    assert state.state == "interrupted"
    assert state.reason == "requeued 0 times, the profile's max_requeues; submit it again"


def test_a_run_that_another_process_computes_is_waited_for(played: dict[str, Scenario]) -> None:
    scenario = played["held"]
    assert scenario.at_fault[scenario.first.id].state == "running"
    attempts = Store(scenario.place.results).folder("fault", scenario.first).attempts()
    assert [attempt["outcome"] for attempt in attempts] == ["done"]
