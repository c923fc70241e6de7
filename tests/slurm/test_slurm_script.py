"""The batch script, word for word: none of it may be a default of submitit."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from prunebench.benchmark.studies.load import load_study
from prunebench.slurm.cluster_profile import Profile
from prunebench.slurm.executor import make_executor, parameters_of, submission_environment
from submitit.slurm.slurm import _make_sbatch_string

PROFILE = Profile.model_validate(
    {
        "partition": "gpu", "account": "lab", "qos": "long", "constraint": "a100", "time": "1h30m", "memory": "16G",
        "cpus_per_task": 4, "gpus_per_run": 2, "array_parallelism": 5, "signal_before": "3m", "modules": ["cuda/12"],
        "environment": {"A": "b c"}, "setup": ["source env"], "sbatch": {"mail-type": "FAIL", "exclusive": True},
    }
)  # fmt: skip

SCRIPT = """\
#!/bin/bash

# Parameters
#SBATCH --account=lab
#SBATCH --array=0-6%5
#SBATCH --constraint=a100
#SBATCH --cpus-per-task=4
#SBATCH --dependency=afterany:12_3
#SBATCH --exclusive
#SBATCH --gpus-per-node=2
#SBATCH --job-name=name
#SBATCH --mail-type=FAIL
#SBATCH --mem=16G
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=2
#SBATCH --open-mode=append
#SBATCH --output=FOLDER/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --requeue
#SBATCH --signal=USR2@180
#SBATCH --time=90

# setup
module load cuda/12 || exit 1
export A='b c'
source env

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output FOLDER/%A_%a_%t_log.out --cpus-per-task=4 --kill-on-bad-exit=1 PYTHON -u -m submitit.core._submit FOLDER
"""  # noqa: E501


def test_the_script(tmp_path: Path) -> None:
    script = make_executor(tmp_path, PROFILE, "name", "12_3").script(7)
    assert script == SCRIPT.replace("FOLDER", str(tmp_path)).replace("PYTHON", sys.executable)


def test_every_default_of_submitit_is_answered(tmp_path: Path) -> None:
    """Each parameter that has a default in submitit is either set by us or harmless."""
    specs = inspect.signature(_make_sbatch_string).parameters.values()
    defaults = {spec.name for spec in specs if spec.default not in (None, False, inspect.Parameter.empty)}
    answered = parameters_of(PROFILE, "name", None).keys()
    # srun stays: without it the warning does not reach the processes
    assert defaults - answered == {"use_srun"}


def test_gres_stands_for_itself(tmp_path: Path) -> None:
    profile = Profile.model_validate({"time": "1h", "gres": "gpu:a100:1"})
    script = make_executor(tmp_path, profile, "name", None).script(1)
    assert "--gres=gpu:a100:1" in script
    assert "gpus-per" not in script


def test_jobs_do_not_inherit_from_a_surrounding_job(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("SLURM_JOB_ID", "3")
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1")
    with submission_environment():
        assert "SLURM_JOB_ID" not in os.environ
        assert "SBATCH_TIMELIMIT" not in os.environ
    assert os.environ["SBATCH_TIMELIMIT"] == "1"


def test_jobs_begin_with_the_python_of_the_profile(tmp_path: Path) -> None:
    executor = make_executor(tmp_path, PROFILE.model_copy(update={"python": "/opt/my env/bin/python"}), "name", None)
    assert " '/opt/my env/bin/python' -u -m submitit.core._submit " in executor.script(1)
    with pytest.raises(ValueError, match="'env/bin/python' is not an absolute path"):
        Profile.model_validate({"time": "1h", "python": "env/bin/python"})


def test_a_dry_run_needs_no_slurm_and_writes_nothing(
    tmp_path: Path, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunebench.benchmark.cli import app

    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    results = tmp_path / "results"
    arguments = ["submit", str(tiny_study), "--profile", "cpu", "--dry-run", "--results", str(results)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    names = re.findall(r"job-name=tiny\.NUMBER\.(\w+)", done.stdout)
    assert names == ["dense", "after", "direct"]
    assert "--dependency=afterany:JOB_OF_dense_0" in done.stdout
    dense, pruned, direct = load_study(str(tiny_study)).runs
    assert done.stderr.splitlines() == [
        f"dense[0]: {dense.id} dense 0% seed 0",
        f"after-{dense.id}[0]: {pruned.id} global_mp 90% seed 0",
        f"direct[0]: {direct.id} snip 90% seed 0",
        "tiny: 3 runs as 3 jobs in 3 arrays",
        "each job asks for 1 node, 1 CPU, 0 GPUs, 4G of memory on each node, 120 minutes; all together for at most "
        "6 job-hours, requeues apart",
    ]
    assert not results.exists()
    arguments[2:4] = ["--profile", "cpux"]
    assert CliRunner().invoke(app, arguments).exception is not None


def test_a_dry_run_tells_two_rows_of_one_method_apart(tmp_path: Path, tiny_study: Path) -> None:
    from prunebench.benchmark.cli import app

    row = "  - {method: snip, sparsity: 90%, label: Ours, scratch: {lr: 0.2}}\n"
    tiny_study.write_text(tiny_study.read_text(encoding="utf-8") + row, encoding="utf-8")
    arguments = ["submit", str(tiny_study), "--profile", "cpu", "--dry-run", "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    *_, direct, ours = load_study(str(tiny_study)).runs
    assert f"direct[0]: {direct.id} snip 90% seed 0\n" in done.stderr
    assert f"direct[1]: {ours.id} snip 90% seed 0 (Ours)\n" in done.stderr
