"""Whole studies through the command line, under kill -9, two processes at once, and methods that misbehave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study

COMMAND = [sys.executable, "-m", "prunebench.benchmark.cli"]

STUDY = """\
name: small
dataset: {name: digits, options: {limit: 400}}
model: convnet-small
seeds: [0]
train: {epochs: 6, batch_size: 40, lr: 0.1, weight_decay: 5e-4}
runs:
  - method: dense
  - method: [global_mp, snip]
    sparsity: [90%]
"""


def start(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command in a process group of its own, which takes Ctrl-C as on a terminal even if these tests were started
    in the background, where shells let interrupts be ignored."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, text=True, capture_output=True, check=False, timeout=280)


def kill_group(process: subprocess.Popen[str], sig: int = signal.SIGKILL) -> None:
    """The command and its workers at once, as when a machine loses power."""
    os.killpg(process.pid, sig)
    process.communicate()


def folders(cwd: Path, study: str = "study.yaml") -> dict[str, RunFolder]:
    loaded = load_study(str(cwd / study))
    return {run.method: Store(cwd / "results").folder(loaded.name, run) for run in loaded.runs}


def wait_for(condition: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def outcome(folder: RunFolder) -> dict[str, Any]:
    result = folder.read_result()
    assert result is not None
    return {key: result[key] for key in ("accuracy", "loss", "sparsity", "layers")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study computed without faults; all others are compared with it."""
    cwd = tmp_path_factory.mktemp("undisturbed")
    (cwd / "study.yaml").write_text(STUDY, encoding="utf-8")
    done = run(cwd, "run", "study.yaml", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "start: convnet-small dense, seed 0: test accuracy " in done.stderr
    return cwd


def test_running_again_computes_nothing_and_says_so(undisturbed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("result.json")}
    again = run(undisturbed, "run", "study.yaml")
    assert again.returncode == 0
    assert "all 3 finished runs are stored; nothing to compute" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in undisturbed.rglob("result.json")} == before


def test_status_json_counts(undisturbed: Path) -> None:
    assert json.loads(run(undisturbed, "status", "study.yaml", "--json").stdout)["counts"] == {"done": 3}


@pytest.mark.parametrize("victim", ["dense", "global_mp"])
def test_kill_minus_nine_loses_nothing(victim: str, undisturbed: Path, tmp_path: Path) -> None:
    """Killed in the middle of a dense training or of a fine-tuning: the next command gives the same results."""
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    process = start(tmp_path, "run", "study.yaml", "--jobs", "1", "--checkpoint-every", "2")
    folder = folders(tmp_path)[victim]
    wait_for(lambda: len(folder.history()) >= 3)
    kill_group(process)
    # a killed process exists until the kernel has removed it
    wait_for(lambda: folder.status().state != "running", 60)
    assert folder.status().state == "interrupted"
    assert not folder.result_path.exists()
    finished = {name for name, other in folders(tmp_path).items() if other.result_path.exists()}
    resumed = run(tmp_path, "run", "study.yaml", "--jobs", "1")
    assert resumed.returncode == 0, resumed.stderr
    for name, other in folders(tmp_path).items():
        assert outcome(other) == outcome(folders(undisturbed)[name])
        assert len(other.attempts()) == (2 if name == victim else 1), "no finished run is computed twice"
    assert victim not in finished
    result = folder.read_result()
    assert result is not None
    assert result["cost"]["resumed"] == 1, "it went on from the checkpoint"


def test_interrupting_stops_after_the_epoch_and_loses_nothing(undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    process = start(tmp_path, "run", "study.yaml", "--jobs", "1", "--checkpoint-every", "100")
    folder = folders(tmp_path)["dense"]
    wait_for(lambda: len(folder.history()) >= 1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert folder.checkpoint_path.exists()
    assert run(tmp_path, "run", "study.yaml").returncode == 0
    for name, other in folders(tmp_path).items():
        assert outcome(other) == outcome(folders(undisturbed)[name])


def test_two_processes_that_want_the_same_share_it(undisturbed: Path, tmp_path: Path) -> None:
    """Two commands started together on one results folder: each run is computed once, by one of them."""
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    processes = [start(tmp_path, "run", "study.yaml", "--jobs", "1") for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
    for name, folder in folders(tmp_path).items():
        assert len(folder.attempts()) == 1
        assert outcome(folder) == outcome(folders(undisturbed)[name])


PLUGIN = """
import os
from dataclasses import dataclass
from typing import ClassVar

import torch
from prunebench.methods.bases.mask_pruner import MaskPruner

METHODS = {"raises": "Raises", "not_a_number": "NotANumber", "dies": "Dies", "no_memory": "NoMemory"}


@dataclass(kw_only=True)
class Raises(MaskPruner):
    label: ClassVar[str] = "Raises"
    paper: ClassVar[str] = "none"
    needs: ClassVar[str] = "weights"

    def score(self, name, weight):
        raise LookupError("this method is broken")


@dataclass(kw_only=True)
class NotANumber(Raises):
    label: ClassVar[str] = "NotANumber"

    def score(self, name, weight):
        return weight * float("nan")


@dataclass(kw_only=True)
class Dies(Raises):
    label: ClassVar[str] = "Dies"

    def score(self, name, weight):
        os.kill(os.getpid(), 9)


@dataclass(kw_only=True)
class NoMemory(Raises):
    label: ClassVar[str] = "NoMemory"

    def score(self, name, weight):
        return torch.empty(2**60)
"""


def test_a_failing_run_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(
        STUDY.replace("epochs: 6", "epochs: 1").replace(
            "[global_mp, snip]", "[raises, not_a_number, dies, no_memory, global_mp]"
        ),
        encoding="utf-8",
    )
    done = run(tmp_path, "run", "study.yaml", "--plugin", "broken.py", "--jobs", "1")
    assert done.returncode == 1
    assert "2 computed, 4 failed" in done.stderr
    for reason in (
        "LookupError: this method is broken",
        "scores of layer 'features.0.weight' are not finite",
        "worker killed by SIGKILL",
        "can't allocate memory",
    ):
        assert reason in done.stderr
    shown = json.loads(run(tmp_path, "status", "study.yaml", "--plugin", "broken.py", "--json").stdout)
    assert shown["counts"] == {"done": 2, "failed": 4}
    failed = {job["method"]: job for job in shown["jobs"] if job["state"] == "failed"}
    logged = run(tmp_path, "logs", failed["raises"]["id"])
    assert "this method is broken" in logged.stdout
    assert "Traceback" in logged.stdout
    as_json = json.loads(run(tmp_path, "logs", failed["raises"]["id"], "--json").stdout)
    assert as_json["attempts"][-1]["outcome"] == "failed"

    # machine failures are tried again, failures of the run only when asked
    again = run(tmp_path, "run", "study.yaml", "--plugin", "broken.py", "--jobs", "1")
    assert again.returncode == 1
    assert "2 runs to compute" in again.stderr
    assert "failed before" in again.stderr
    assert run(tmp_path, "retry", failed["raises"]["id"]).returncode == 0
    assert "3 runs to compute" in run(tmp_path, "run", "study.yaml", "--plugin", "broken.py", "--jobs", "1").stderr


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_missing_data_are_reported_once_before_any_run(jobs: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        STUDY.replace("{name: digits, options: {limit: 400}}", "mnist"), encoding="utf-8"
    )
    done = run(tmp_path, "run", "study.yaml", "--jobs", jobs, "--data-root", "nowhere")
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    assert line.startswith("prunebench: mnist: train-images-idx3-ubyte(.gz) is missing in ")
    assert not list((tmp_path / "results").rglob("*.json"))


def test_children_of_a_failed_dense_training_are_not_started(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("lr: 0.1", "lr: 1e30"), encoding="utf-8")
    done = run(tmp_path, "run", "study.yaml", "--jobs", "1")
    assert done.returncode == 1
    assert "its dense training" in done.stderr
    assert folders(tmp_path)["global_mp"].status().state == "missing"
    dense, child = (folders(tmp_path)[method].path.name for method in ("dense", "global_mp"))
    # nor by the next `run`, which does not compute the dense training again
    again = run(tmp_path, "run", "study.yaml", "--jobs", "1")
    assert again.returncode == 1
    assert f"blocked: {child} global_mp 90% seed 0: its dense training {dense} did not finish: Diverged" in again.stderr
    assert "0 computed, 2 failed, 1 blocked" in again.stderr
    assert folders(tmp_path)["global_mp"].status().state == "missing"


def test_results_of_a_plugin_name_its_file(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        STUDY.replace("epochs: 6", "epochs: 1").replace("[global_mp, snip]", "[my_method]"), encoding="utf-8"
    )
    assert run(tmp_path, "new-method", "my_method").returncode == 0
    done = run(tmp_path, "run", "study.yaml", "--plugin", "my_method.py")
    assert done.returncode == 0, done.stderr
    paths = list((tmp_path / "results" / "small" / "runs").glob("*/result.json"))
    (plugin,) = json.loads(paths[0].read_text())["provenance"]["plugins"].items()
    assert plugin[0].endswith("my_method.py")
    assert len(plugin[1]) == 64


LOADER = """
from dataclasses import dataclass
from typing import ClassVar

import torch
from prunebench.methods.bases.mask_pruner import MaskPruner

METHODS = {"loads": "Loads"}


@dataclass(kw_only=True)
class Loads(MaskPruner):
    label: ClassVar[str] = "Loads"
    paper: ClassVar[str] = "none"
    needs: ClassVar[str] = "weights"

    def prepare_scores(self):
        loader = torch.utils.data.DataLoader(range(4), num_workers=1)
        assert [int(batch) for batch in loader] == [0, 1, 2, 3]

    def score(self, name, weight):
        return weight.abs()
"""


def test_a_run_may_start_processes_of_its_own(tmp_path: Path) -> None:
    """As ImageNet's loader does; daemonic workers could not start processes."""
    (tmp_path / "loads.py").write_text(LOADER, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(
        STUDY.replace("epochs: 6", "epochs: 1").replace("[global_mp, snip]", "[loads]"), encoding="utf-8"
    )
    done = run(tmp_path, "run", "study.yaml", "--plugin", "loads.py", "--jobs", "1")
    assert done.returncode == 0, done.stderr


def test_workers_whose_parent_is_killed_stop_with_a_checkpoint(undisturbed: Path, tmp_path: Path) -> None:
    """Only the parent is killed: its worker stops after the epoch, and the run counts as interrupted, not as failed."""
    (tmp_path / "study.yaml").write_text(STUDY.replace("epochs: 6", "epochs: 60"), encoding="utf-8")
    process = start(tmp_path, "run", "study.yaml", "--jobs", "1", "--checkpoint-every", "1000")
    folder = folders(tmp_path)["dense"]
    wait_for(lambda: len(folder.history()) >= 1)
    process.kill()
    process.wait()
    wait_for(lambda: folder.status().state != "running", 60)
    assert folder.status().state == "interrupted"
    assert folder.attempts()[-1]["outcome"] == "interrupted"
    assert folder.checkpoint_path.exists()
