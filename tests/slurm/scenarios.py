"""All faults at the same time, on two clusters: submit, disturb, wait; look; repair, submit again, wait.

Each takes half a minute to three minutes, nearly all of it waiting, so they run together.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster import PLUGIN, Place, wait_until
from prunebench.benchmark.runs.claim import Claim
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.slurm.run_state import RunState
from rights import is_allowed, may_close, may_mount
from tool import slurm_local

PATIENCE = 400.0
SLOW = {"SLOW_SECONDS": "1"}
NEEDS_ROOT = {"full disk": may_mount, "closed folder": may_close}
"""Scenarios that are not played where the machine does not allow it, and what tells that."""
LAST = ("node lost", "time limit")
"""These take longest until nothing is queued or running."""


@dataclass
class Scenario:
    """A fault in a results folder: the states right after it, and when nothing was queued or running any more."""

    place: Place
    disturb: Callable[[Scenario], None]
    repair: Callable[[Scenario], None] = lambda scenario: None
    profile: dict[str, object] = field(default_factory=dict)
    at_fault: dict[str, RunState] = field(default_factory=dict)
    at_rest: dict[str, RunState] = field(default_factory=dict)
    shown: str = ""
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def first(self) -> Run:
        return self.place.runs[0]

    @property
    def second(self) -> Run:
        return self.place.runs[1]

    def wait_for_epochs(self, number: int) -> None:
        wait_until(lambda: self.place.num_epochs(self.first) >= number, PATIENCE, f"{number} epochs of {self.first.id}")


def compute_here(place: Place) -> None:
    """Undisturbed results, by the local launcher."""
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", str(place.study_path), "--jobs", "2"]
    results = ["--results", str(place.results), "--plugin", str(PLUGIN)]
    subprocess.run([*command, *results], check=True, capture_output=True)


def play(root: Path, reference: Place) -> dict[str, Scenario]:
    """Everything, on the running cluster and on a second one without accounting."""
    early = with_their_own_dense_training(root)
    for scenario in early.values():
        submit(scenario)
        scenario.disturb(scenario)
    compute_here(reference)
    second = SecondCluster(root)
    try:
        others = {**on_the_first_cluster(root), **second.scenarios()}
        for scenario in others.values():
            scenario.place.take_dense_from(reference)
            submit(scenario)
            if scenario.disturb is hold:
                scenario.disturb(scenario)
        for scenario in others.values():
            if scenario.disturb is not hold:
                scenario.disturb(scenario)
        slurm_local("restart-controller")
        played = {**others, **early}
        scenarios = {name: played[name] for name in sorted(played, key=LAST.__contains__)}
        finish(scenarios)
    finally:
        second.stop()
    return scenarios


def submit(scenario: Scenario) -> None:
    scenario.place.submit(**{"environment": SLOW, **scenario.profile})


def finish(scenarios: dict[str, Scenario]) -> None:
    for name, scenario in scenarios.items():
        wait_until(scenario.place.is_idle, PATIENCE, f"{name} to come to rest")
        scenario.at_rest = scenario.place.look().states
        scenario.shown = scenario.place.command("status")[1]
        scenario.repair(scenario)
        if scenario.place.counts().keys() != {"done"}:
            scenario.place.submit()
    for name, scenario in scenarios.items():
        wait_until(scenario.place.is_idle, PATIENCE, f"{name} to be completed")
        scenario.numbers = scenario.place.numbers()


def with_their_own_dense_training(root: Path) -> dict[str, Scenario]:
    # Thirty epochs of 3.5 seconds do not fit into two minutes less the warning.
    slower = {"environment": {"SLOW_SECONDS": "3.5"}, "time": "2m"}
    limit = Scenario(Place(root / "limit", sparsities="[50%]"), lambda scenario: None, profile=slower)
    # The blank in its name must survive batch scripts and command lines.
    dead_seed = Scenario(Place(root / "dead seed", seeds="[0, 1]"), cancel_dense_of_seed_one)
    return {"time limit": limit, "dead seed": dead_seed}


def on_the_first_cluster(root: Path) -> dict[str, Scenario]:
    def place(name: str) -> Place:
        return Place(root / name, sparsities="[50%]")

    return {
        "held": Scenario(place("held"), hold, profile={"environment": {}}),
        "killed": Scenario(Place(root / "killed"), kill_process),
        "given up": Scenario(place("given-up"), warn, profile={"max_requeues": 0}),
        "preempted": Scenario(place("preempted"), preempt, profile={"partition": "preempt", "gpus_per_run": 1}),
        "requeued": Scenario(place("requeued"), requeue_by_hand),
        "cancelled": Scenario(place("cancelled"), cancel),
    }


class SecondCluster:
    """Two nodes, no accounting, no GPUs, no grace before a preemption; and a small disk, where tests may mount one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.disk = root / "disk"
        self.disk.mkdir()
        self.has_disk = may_mount(self.disk)
        if self.has_disk:
            # Before the start, because nodes have their own view of what is mounted.
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(self.disk)], check=True)
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-second-"))
        self.settings = {
            "SLURM_LOCAL_DIR": str(self.folder), "SLURM_LOCAL_ACCOUNTING": "no", "SLURM_LOCAL_GPUS": "0",
            "SLURM_LOCAL_GRACE": "0",
        }  # fmt: skip
        slurm_local("start", "2", "7", **self.settings)
        self.environment = {"SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}

    def scenarios(self) -> dict[str, Scenario]:
        """The lost node must not end the jobs of the others, so these use the first node."""
        first_node: dict[str, object] = {"sbatch": {"nodelist": "node1"}}
        made = {"vanished": Scenario(self.place("vanished"), kill_process, profile=first_node)}
        large = {**first_node, "partition": "preempt", "memory": "40G"}
        made["no grace"] = Scenario(self.place("no-grace"), self.take_its_memory, profile=large)
        if self.has_disk:
            place = self.place("user of a disk", self.disk / "results")
            made["full disk"] = Scenario(place, fill, make_room, profile=first_node)
        if may_close(self.root):
            made["closed folder"] = Scenario(self.place("closed"), close, reopen, profile=first_node)
        node = Place(self.root / "node", environment=self.environment)
        made["node lost"] = Scenario(node, self.lose_node, self.bring_node_back, profile={"cpus_per_task": 3})
        return made

    def place(self, name: str, results: Path | None = None) -> Place:
        return Place(self.root / name, sparsities="[50%]", environment=self.environment, results_folder=results)

    def take_its_memory(self, scenario: Scenario) -> None:
        """A job of a higher partition, which fits on the node only if this job leaves."""
        scenario.wait_for_epochs(2)
        urgent = ["sbatch", "--partition=debug", "--nodelist=node1", "--mem=30G", "--output=/dev/null"]
        environment = {**os.environ, **self.environment}
        subprocess.run([*urgent, "--wrap=sleep 3"], env=environment, check=True, capture_output=True)

    def lose_node(self, scenario: Scenario) -> None:
        for run in scenario.place.runs:
            wait_until(lambda run=run: scenario.place.num_epochs(run) >= 2, PATIENCE, f"two epochs of {run.id}")
        slurm_local("node-down", "node2", **self.settings)

    def bring_node_back(self, scenario: Scenario) -> None:
        slurm_local("node-up", "node2", **self.settings)

    def stop(self) -> None:
        """Leave nothing behind, even if a scenario was interrupted."""
        slurm_local("stop", **self.settings)
        shutil.rmtree(self.folder)
        is_allowed("chattr", "-R", "-i", str(self.root / "closed"))
        if self.has_disk:
            subprocess.run(["umount", str(self.disk)], check=True)


def cancel_dense_of_seed_one(scenario: Scenario) -> None:
    dense = next(run.parent for run in scenario.place.runs if run.seed == 1)
    assert dense is not None
    job = scenario.place.state(dense).job
    wait_until(lambda: scenario.place.record(dense).starts, PATIENCE, "the dense training to start")
    subprocess.run(["scancel", job], check=True)
    wait_until(lambda: not scenario.place.state(dense).is_active, PATIENCE, "the cancelled job to leave")
    scenario.at_fault = scenario.place.look().states


def process_of(place: Place, run: Run, rank: int = 0) -> int:
    """The process that submitit started for a run's job, found by the environment that SLURM gave it."""
    array, index = place.state(run).job.split("_")
    wanted = {f"SLURM_ARRAY_JOB_ID={array}".encode(), f"SLURM_ARRAY_TASK_ID={index}".encode(),
              f"SLURM_PROCID={rank}".encode()}  # fmt: skip
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = set((path / "environ").read_bytes().split(b"\0"))
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if wanted <= environment and b"submitit.core._submit" in command and b"srun" not in command:
            return int(path.name)
    raise AssertionError(f"no process of job {array}_{index}")


def kill_process(scenario: Scenario) -> None:
    scenario.wait_for_epochs(2)
    os.kill(process_of(scenario.place, scenario.first), signal.SIGKILL)


def warn(scenario: Scenario) -> None:
    """Send SLURM's warning to all processes of the step, as SLURM does."""
    scenario.wait_for_epochs(2)
    subprocess.run(["scancel", "--signal=USR2", scenario.place.state(scenario.first).job], check=True)


def preempt(scenario: Scenario) -> None:
    """A job of a higher partition that needs every GPU of the cluster."""
    scenario.wait_for_epochs(2)
    urgent = ["sbatch", "--partition=debug", "--nodes=2", "--gpus-per-node=2", "--output=/dev/null", "--wrap=sleep 3"]
    subprocess.run(urgent, check=True, capture_output=True)


def cancel(scenario: Scenario) -> None:
    """Cancels this study only; the jobs of the other studies continue."""
    scenario.wait_for_epochs(2)
    assert "cancelled 1 jobs" in scenario.place.command("cancel", chooses=False)[2]


def requeue_by_hand(scenario: Scenario) -> None:
    """Requeue as an administrator does, and as a preemption without a warning does."""
    scenario.wait_for_epochs(2)
    subprocess.run(["scontrol", "requeue", scenario.place.state(scenario.first).job], check=True)


def hold(scenario: Scenario) -> None:
    """Another process holds the run when its job starts, and releases it some time after the job has noticed."""
    folder = Store(scenario.place.results).folder("fault", scenario.first)
    claim = Claim.take(folder.path)
    assert claim is not None, "a job needs seconds to load torch before it claims its run"
    wait_until(lambda: scenario.place.record(scenario.first).starts, PATIENCE, "the job to start")
    time.sleep(15.0)
    scenario.at_fault = scenario.place.look().states
    assert not folder.attempts()
    claim.release()


def fill(scenario: Scenario) -> None:
    scenario.wait_for_epochs(2)
    with (scenario.place.results.parent / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return


def make_room(scenario: Scenario) -> None:
    (scenario.place.results.parent / "filler").unlink()


def close(scenario: Scenario) -> None:
    """From now on nothing can be created, replaced or removed in the folder, not even by root."""
    scenario.wait_for_epochs(2)
    subprocess.run(["find", str(scenario.place.results), "-type", "d", "-exec", "chattr", "+i", "{}", "+"], check=True)


def reopen(scenario: Scenario) -> None:
    subprocess.run(["find", str(scenario.place.results), "-type", "d", "-exec", "chattr", "-i", "{}", "+"], check=True)
