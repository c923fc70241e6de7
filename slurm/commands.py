"""Runs SLURM's commands with a timeout, and without the environment variables of a surrounding job."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

_PREFIXES = (
    "SLURM_", "SLURMD_", "SRUN_", "SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SCONTROL_", "SUBMITIT_",
)  # fmt: skip
_KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT", "SUBMITIT_PREEMPT_SIGNAL")
_DISTRIBUTED = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


class SlurmError(Exception):
    """A SLURM command failed, is not installed, or did not answer."""


def clean_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for SLURM's commands.

    Jobs would inherit the variables of a surrounding job. `SBATCH_TIMELIMIT` and other variables override the batch
    script, and so the profile. `SQUEUE_STATES` would hide jobs, which would then be submitted again. The variables that
    name the configuration are kept.
    """
    given = os.environ if environment is None else environment
    return {
        name: value
        for name, value in given.items()
        if name in _KEPT or not (name.startswith(_PREFIXES) or name in _DISTRIBUTED)
    }


def call(command: Sequence[str], timeout: float = 30.0) -> str:
    """Run a command and return its stdout. Raises SlurmError with the first line of its stderr."""
    try:
        # Names of jobs may have characters that are not in this machine's encoding.
        done = subprocess.run(
            list(command), capture_output=True, text=True, errors="replace", timeout=timeout, env=clean_environment(),
            check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise SlurmError(f"{command[0]} is not installed here") from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]} did not answer within {timeout:g} s") from error
    if done.returncode != 0:
        raise SlurmError(f"{command[0]}: {_first_line(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
