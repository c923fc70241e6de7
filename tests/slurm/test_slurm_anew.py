"""Runs that are computed again on a real cluster: older code, damaged weights, a node without the device."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from cluster import Place, wait_until
from prunebench.benchmark.runs.store import Store

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

PATIENCE = 120.0
STUDY = """\
name: anew
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [0]
train: {epochs: 1, batch_size: 50, lr: 0.05}
runs:
  - method: global_mp
    sparsity: [50%]
  - method: anew_mp
    sparsity: [50%]
    options: {start: init}
"""
WITHOUT_EDITED = STUDY[: STUDY.index("  - method: anew_mp")]


@dataclass(frozen=True)
class User:
    """Runs commands, each in a new process that reads the present plug-in file."""

    place: Place

    def types(self, command: str, *words: str) -> str:
        chosen = [item for assignment in self.place.assignments for item in ("--set", assignment)]
        own = [str(self.place.study_path), "--results", str(self.place.results), "--plugin", str(self.place.plugin)]
        line = [sys.executable, "-m", "prunebench.benchmark.cli", command, *own, *chosen, *words]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def submits(self, *words: str, **changes: Any) -> str:
        return self.types("submit", "--profile", self.place.profile(**changes), "--no-data-check", *words)

    def waits(self) -> None:
        wait_until(self.place.is_idle, PATIENCE, "the jobs to end")


def result_of(place: Place, method: str) -> dict[str, Any]:
    (run,) = (run for run in place.runs if run.method == method)
    result = Store(place.results).folder(place.name, run).read_result()
    assert result is not None
    return result


def edit(plugin: Path, name: str) -> None:
    """Another constant in the class: other code, the same numbers."""
    with plugin.open("a", encoding="utf-8") as file:
        file.write(f"    {name}: ClassVar[int] = 1\n")


def test_results_of_older_code_are_computed_anew_in_jobs(tmp_path: Path) -> None:
    """First the plug-in changes between submission and start, then after the result."""
    plugin = tmp_path / "anew.py"
    # a new name, because plug-ins stay registered in the process of the tests
    text = Path(__file__).with_name("edited.py").read_text(encoding="utf-8")
    plugin.write_text(text.replace("edited_mp", "anew_mp").replace("Edited MP", "Anew MP"), encoding="utf-8")
    place = Place(tmp_path / "here", sparsities="[50%]", study=STUDY, plugin=plugin)
    user = User(place)
    (edited,) = (run for run in place.runs if run.method == "anew_mp")
    user.submits(sbatch={"hold": True})
    jobs = {state.job.split("_")[0] for state in place.look().states.values()}
    original = plugin.read_text(encoding="utf-8")
    edit(plugin, "first")
    subprocess.run(["scontrol", "release", ",".join(sorted(jobs))], check=True)
    user.waits()
    assert place.counts() == {"done": 3}
    shown = user.types("status")
    assert "started with other code than submitted with: " in shown
    assert edited.id in shown.partition("submitted with: ")[2]
    assert "of older code" not in shown, "the job loaded the code that is there now"
    assert "2 results are of jobs whose code had changed since they were submitted." in user.types("table")
    changed = plugin.read_text(encoding="utf-8")
    plugin.write_text(original, encoding="utf-8")
    shown = user.types("status")
    assert "1 stored result is of older code or weights (code of the method: 1)" in shown
    assert "older code" in user.types("table")
    plugin.write_text(changed, encoding="utf-8")
    edit(plugin, "second")

    before = {method: result_of(place, method) for method in ("global_mp", "anew_mp")}
    assert "nothing to submit" in user.submits()
    said = user.submits("--recompute", sbatch={"hold": True})
    assert "1 stored result is of older code or weights, to be computed anew (code of the method: 1)" in said
    assert "submitted 1 runs as 1 jobs" in said
    assert "nothing to submit" in user.submits("--recompute", sbatch={"hold": True}), "it is queued"
    assert result_of(place, "anew_mp") == before["anew_mp"], "the old result stays until the new one is there"
    subprocess.run(["scontrol", "release", place.state(edited).job], check=True)
    user.waits()
    after = {method: result_of(place, method) for method in before}
    assert after["global_mp"] == before["global_mp"]
    assert after["anew_mp"]["provenance"]["finished"] > before["anew_mp"]["provenance"]["finished"]
    assert after["anew_mp"]["provenance"]["code"] != before["anew_mp"]["provenance"]["code"]
    assert after["anew_mp"]["accuracy"] == before["anew_mp"]["accuracy"]
    assert "of older code" not in user.types("status")
    assert "nothing to submit" in user.submits("--recompute")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the nodes of the test cluster are this machine, which has a GPU")
def test_a_node_without_the_device_is_named_and_blocks_what_starts_from_its_run(tmp_path: Path) -> None:
    place = Place(tmp_path, sparsities="[50%]", study=WITHOUT_EDITED)
    (child,) = (run for run in place.runs if not run.is_dense)
    assert child.parent is not None
    place.submit(device="cuda", gpus_per_run=1)
    wait_until(place.is_idle, PATIENCE, "the jobs to end")
    states = place.look().states
    failed, blocked = states[child.parent.id], states[child.id]
    assert (failed.state, failed.retryable) == ("interrupted", True)
    assert place.record(child.parent).starts[0]["host"] in failed.reason
    assert "cuda" in failed.reason.lower()
    # `status` shows it as blocked before its own job has noticed
    wait_until(lambda: child.id in place.record(child).outcomes, PATIENCE, "the job of the blocked run")
    assert place.record(child).outcomes[child.id]["outcome"] == "blocked"
    assert blocked.state == "blocked"
    assert failed.reason in blocked.reason
    assert not Store(place.results).folder(place.name, child).attempts(), "a blocked run makes no attempt"
    assert "submitted 2 runs as 2 jobs" in place.submit(device="cpu")
    wait_until(place.is_idle, PATIENCE, "the jobs to end")
    assert place.counts() == {"done": 2}


def test_damaged_dense_weights_are_replaced_by_the_job_that_finds_them(tmp_path: Path) -> None:
    """The damaged file has the right size, so only loading it shows the damage. No second submission is needed."""
    place = Place(tmp_path, sparsities="[50%]", study=WITHOUT_EDITED)
    (child,) = (run for run in place.runs if not run.is_dense)
    assert child.parent is not None
    place.submit()
    wait_until(place.is_idle, PATIENCE, "the jobs to end")
    wanted = place.numbers()
    folder = Store(place.results).folder(place.name, child)
    shutil.rmtree(folder.path)
    weights = Store(place.results).folder(place.name, child.parent).model_path
    content = bytearray(weights.read_bytes())
    content[-1] ^= 0xFF
    weights.write_bytes(content)
    assert "submitted 1 runs as 1 jobs" in place.submit()
    wait_until(place.is_idle, PATIENCE, "the jobs to end")
    assert place.counts() == {"done": 2}
    assert place.numbers() == wanted
    logs = [path.read_text(encoding="utf-8") for path in place.results.rglob("*_0_log.out")]
    assert any(f"set aside: {weights} is damaged" in log for log in logs)
    assert weights.with_name("model.safetensors.damaged").exists()
