"""submitit's local executor runs the same function on this machine, with the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from comparing import all_numbers
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.studies.load import load_study
from prunebench.slurm.cluster_profile import load_profile
from prunebench.slurm.job import RunTask
from prunebench.slurm.job_arrays import Array
from prunebench.slurm.submission import read_task_record, task_record_path
from prunebench.slurm.submit import _manifest, _order
from submitit import LocalExecutor


@pytest.mark.timeout(280)
def test_local_jobs_give_what_run_gives(tmp_path: Path, tiny_study: Path) -> None:
    """Two jobs of a study, the dense training and then the rest, against the local launcher."""
    study = load_study(str(tiny_study))
    dense = tuple(run for run in study.runs if run.is_dense)
    others = tuple(run for run in study.runs if not run.is_dense)
    profile = load_profile("cpu")
    settings = Settings(results=tmp_path / "job", device="cpu")
    manifest = _manifest(study.name, tmp_path, [Array("a", (dense, others))], settings, profile, 1)
    executor = LocalExecutor(tmp_path / "submitit")
    executor.update_parameters(timeout_min=4)
    for index, runs in enumerate((dense, others)):
        record = task_record_path(tmp_path, 0, index)
        job = executor.submit(RunTask(_order(runs, record, manifest, settings, profile)))
        assert job.result() == dict.fromkeys((run.id for run in runs), "done")
        assert read_task_record(record).starts[0]["job"] == job.job_id
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", str(tiny_study), "--jobs", "1"]
    subprocess.run([*command, "--results", str(tmp_path / "run")], check=True, capture_output=True, timeout=200)
    result = json.loads(next((tmp_path / "job").glob("dense/*/result.json")).read_text(encoding="utf-8"))
    assert result["provenance"]["submitted_revision"] == manifest.revision
    found = all_numbers(tmp_path / "job")
    assert len(found) == 3
    assert found == all_numbers(tmp_path / "run")
