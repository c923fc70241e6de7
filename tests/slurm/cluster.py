"""One user on the test cluster: a results folder, a study, profiles, and the commands as a user types them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner
from comparing import all_numbers
from prunebench.benchmark.cli import app
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.methods.registry import add_plugin
from prunebench.slurm.run_state import RunState
from prunebench.slurm.squeue import forget
from prunebench.slurm.status import Overview, overview
from prunebench.slurm.submission import TaskRecord, find_submissions, newest_task_by_run, read_manifest

PLUGIN = Path(__file__).with_name("faulty.py")

STUDY = """\
name: fault
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [0, 1]
train: {epochs: 2, batch_size: 50, lr: 0.05}
finetune: {epochs: 30}
runs:
  - method: slow_mp
    sparsity: [50%, 70%]
"""

PROFILE: dict[str, Any] = {
    "partition": "debug", "time": "15m", "memory": "1G", "gpus_per_run": 0, "device": "cpu", "signal_before": "20s",
}  # fmt: skip


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Raises AssertionError after `seconds`: a hang is a failure."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.5)


@dataclass
class Place:
    """`seeds` and `sparsities` choose runs of the study; `environment` is set while commands run, e.g. SLURM_CONF."""

    folder: Path
    seeds: str = "[0]"
    sparsities: str = "[50%, 70%]"
    study: str = STUDY
    environment: dict[str, str] = field(default_factory=dict)
    results_folder: Path | None = None
    plugin: Path = PLUGIN

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.results = self.results_folder or self.folder / "results"
        self.study_path = self.folder / "fault.yaml"
        self.study_path.write_text(self.study, encoding="utf-8")
        add_plugin(self.plugin)
        self.assignments = (f"seeds={self.seeds}", f"runs.0.sparsity={self.sparsities}")
        self.runs = load_study(str(self.study_path), self.assignments).runs
        self.name = load_study(str(self.study_path), self.assignments).name

    def profile(self, **changes: Any) -> str:
        path = self.folder / "profile.yaml"
        path.write_text(yaml.safe_dump({**PROFILE, **changes}), encoding="utf-8")
        return str(path)

    def command(self, name: str, *arguments: str, chooses: bool = True) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command on this study."""
        chosen = [item for assignment in self.assignments for item in ("--set", assignment)] if chooses else []
        chosen += ["--plugin", str(self.plugin)] if chooses else []
        words = [name, str(self.study_path), "--results", str(self.results), *chosen, *arguments]
        done = CliRunner(env=dict(self.environment)).invoke(app, words)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout, done.stderr

    def submit(self, *arguments: str, **changes: Any) -> str:
        """Submit with a profile; returns the output."""
        code, _, said = self.command("submit", "--profile", self.profile(**changes), "--no-data-check", *arguments)
        assert code == 0, said
        return said

    def look(self, *, use_cache: bool = False) -> Overview:
        saved = dict(os.environ)
        os.environ.update(self.environment)
        try:
            if not use_cache:
                forget(self.results)
            return overview(self.name, self.runs, self.results, use_cache=use_cache)
        finally:
            os.environ.clear()
            os.environ.update(saved)

    def state(self, run: Run) -> RunState:
        return self.look().states[run.id]

    def is_idle(self) -> bool:
        return not self.look().has_active

    def counts(self) -> dict[str, int]:
        found = [state.state for state in self.look().states.values()]
        return {state: found.count(state) for state in sorted(set(found))}

    def num_epochs(self, run: Run) -> int:
        return len(Store(self.results).folder(self.name, run).history())

    def record(self, run: Run) -> TaskRecord:
        """The record of the newest job of a run."""
        submissions = [(path, read_manifest(path)) for path in find_submissions(self.results)]
        shared = {run.parent.id for run in self.runs if run.parent}
        return newest_task_by_run(submissions, self.name, shared)[run.id].record()

    def numbers(self) -> dict[str, dict[str, Any]]:
        return all_numbers(self.results)

    def take_dense_from(self, other: Place) -> None:
        shutil.copytree(other.results / "dense", self.results / "dense")
