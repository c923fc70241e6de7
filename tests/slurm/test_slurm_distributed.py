"""One run in two processes: the same numbers as in one, up to rounding, and the same masks in both."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cluster import Place, wait_until
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.artifacts import load_masks, load_weights
from prunebench.benchmark.runs.run import Recipe, Run, to_dict
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.slurm.collection import find_logs, read_submissions
from scenarios import process_of

# 205 digits leave 185 for training: the last batch has 35 samples, which two processes share as 17 and 18.
RECIPE = Recipe(epochs=2, batch_size=50, lr=0.05, weight_decay=5e-4, sync_batch_norm=True)
DENSE = Run(
    dataset="digits", dataset_options=(("limit", 205),), model="convnet-small", method="dense", seed=0, recipe=RECIPE
)
TOLERANCE = 1e-4


def settings_for(results: Path) -> Settings:
    return Settings(results=results, device="cpu", keep_weights=True)


def pruned(method: str, parent: Run | None = None, **options: object) -> Run:
    return replace(DENSE, method=method, sparsity=0.5, parent=parent, method_options=tuple(sorted(options.items())))


def start_two(results: Path, what: str) -> list[str]:
    """Stdout of both processes; raises if one fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    command = [sys.executable, str(Path(__file__).with_name("ranks.py")), str(results), what]
    processes = [
        subprocess.Popen(command, env={**common, "RANK": str(rank)}, text=True, stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=250)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return outputs


def check_equal(together: RunFolder, alone: RunFolder) -> None:
    """Weights within rounding; masks but for a weight whose score ties with another's up to rounding."""
    ours, theirs = load_weights(together.model_path, None), load_weights(alone.model_path, None)
    assert ours.keys() == theirs.keys()
    different = 0
    if together.masks_path.exists():
        masks, others = load_masks(together.masks_path, None), load_masks(alone.masks_path, None)
        different = sum(int((masks[name] != others[name]).sum()) for name in masks)
        assert different <= 2
    for name in ours:
        distance = (ours[name].double() - theirs[name].double()).abs()
        assert int((distance > TOLERANCE).sum()) <= different, name
    here, there = together.read_result(), alone.read_result()
    assert here is not None
    assert there is not None
    assert here["provenance"]["processes"] == 2
    assert there["provenance"]["processes"] == 1
    assert here["sparsity"]["kept"] == there["sparsity"]["kept"]
    assert here["loss"]["last"] == pytest.approx(there["loss"]["last"], rel=1e-3)
    for ours_epoch, theirs_epoch in zip(together.history(), alone.history(), strict=True):
        assert ours_epoch["train_loss"] == pytest.approx(theirs_epoch["train_loss"], rel=1e-4)


@pytest.mark.timeout(280)
def test_two_processes_train_to_the_numbers_of_one(tmp_path: Path) -> None:
    """Dense training and magnitude; scores from gradients of shared samples; masks that move with gradients."""
    runs = [DENSE, pruned("global_mp", DENSE), pruned("snip"), pruned("grasp"), pruned("rigl", every=2)]
    orders = tmp_path / "runs.json"
    orders.write_text(json.dumps([to_dict(run) for run in runs]), encoding="utf-8")
    start_two(tmp_path / "together", str(orders))
    for run in runs:
        assert attempt(run, "s", settings_for(tmp_path / "alone")).outcome == "done"
        check_equal(*(Store(tmp_path / name).folder("s", run) for name in ("together", "alone")))


def test_masks_that_differ_stop_the_run(tmp_path: Path) -> None:
    said = start_two(tmp_path, "masks")
    assert said == ["masks of 1 of 2 processes differ from the leader's\n"] * 2


STUDY = """\
name: together
dataset: {name: digits, options: {limit: 205}}
model: convnet-small
seeds: [0]
train: {epochs: 12, batch_size: 50, lr: 0.05, weight_decay: 5e-4, sync_batch_norm: true}
runs:
  - method: slow_mp
    sparsity: [50%]
    options: {start: init}
"""


@pytest.mark.slurm
@pytest.mark.timeout(450)
def test_two_nodes_train_to_the_numbers_of_one_process(tmp_path: Path) -> None:
    """One task on each of two nodes, through the command line; warned, requeued and resumed on the way.

    Then the worker that is not the leader is killed: the job ends at once, and a second submission completes the run.
    """
    place = Place(tmp_path, sparsities="[50%]", study=STUDY)
    two_nodes = {"gpus_per_run": 2, "nodes_per_run": 2, "environment": {"SLOW_SECONDS": "1"}}
    place.submit("--keep-weights", **two_nodes)
    (run,) = place.runs
    assert attempt(run, "together", settings_for(tmp_path / "alone")).outcome == "done"
    wait_until(lambda: place.num_epochs(run) >= 2, 150, "two epochs")
    subprocess.run(["scancel", "--signal=USR2", place.state(run).job], check=True)
    wait_until(lambda: place.record(run).requeues == 1, 100, "the second start")
    num_before = place.num_epochs(run)
    wait_until(lambda: place.num_epochs(run) > num_before, 100, "an epoch after it")
    task = process_of(place, run, rank=1)
    for child in Path(f"/proc/{task}/task/{task}/children").read_text(encoding="ascii").split():
        os.kill(int(child), signal.SIGKILL)
    wait_until(place.is_idle, 60, "the end of the job")
    state = place.state(run)
    # whether the leader notices before SLURM ends it too is a race
    assert state.state in ("failed", "lost", "interrupted")
    assert state.can_be_submitted, state
    submissions = read_submissions(place.results, Store(place.results).note)
    assert [path.name for path in find_logs(submissions, run.id)] == [f"{state.job}_{rank}_log.out" for rank in (0, 1)]
    place.submit("--keep-weights", **two_nodes)
    wait_until(place.is_idle, 150, "the second submission")
    together = Store(place.results).folder("together", run)
    check_equal(together, Store(tmp_path / "alone").folder("together", run))
    result = together.read_result()
    assert result is not None
    assert result["provenance"]["slurm"]["SLURM_JOB_NODELIST"] == "node[1-2]"
    assert [together.attempts()[index]["outcome"] for index in (0, -1)] == ["interrupted", "done"]
    assert result["cost"]["resumed"] == 2


def test_synchronised_batch_norm_keeps_the_kind_and_the_numbers_of_its_layers() -> None:
    """Methods look for batch-norm layers; with one process a layer computes what it always did."""
    from prunebench.benchmark.training.sync_batch_norm import synchronize

    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3))
    synced = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3))
    synced.load_state_dict(plain.state_dict())
    synchronize(synced)
    assert isinstance(synced[1], torch.nn.BatchNorm2d)
    assert synced.state_dict().keys() == plain.state_dict().keys()
    inputs = torch.randn(4, 1, 8, 8)
    assert torch.equal(synced(inputs), plain(inputs))
    assert torch.equal(synced[1].running_var, plain[1].running_var)  # pyright: ignore[reportArgumentType]
