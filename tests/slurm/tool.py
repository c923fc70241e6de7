"""The temporary cluster of tools/slurm-local, from inside its `run`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "slurm-local"
RUN = "tools/slurm-local run 2 8 -- pytest -m slurm"


def why_no_cluster() -> str:
    """Empty if a test cluster answers; otherwise the command that starts one."""
    if shutil.which("sinfo") is None or shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        return f"SLURM is missing: apt-get install --no-install-recommends $(tools/slurm-local packages), then {RUN}"
    answer = subprocess.run(["sinfo", "--noheader"], capture_output=True, timeout=60, check=False)
    if answer.returncode != 0 or "SLURM_LOCAL_DIR" not in os.environ:
        return f"no test cluster is running: {RUN}"
    return ""


def slurm_local(*arguments: str, **settings: str) -> str:
    """Output of the tool. Raises CalledProcessError."""
    return subprocess.run(
        [str(TOOL), *arguments], env={**os.environ, **settings}, text=True, check=True, timeout=180,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ).stdout  # fmt: skip
