"""The tests that need a cluster, on a machine without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tool import slurm_local, why_no_cluster


@pytest.mark.timeout(120)
def test_without_slurm_they_are_skipped_with_the_command_that_installs_it(tmp_path: Path) -> None:
    """Nothing of SLURM is on the path of this pytest."""
    file = Path(__file__).with_name("test_slurm_send.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SLURM"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(file), "-m", "slurm", "-rs", "-p", "no:cacheprovider"],
        env={**environment, "PATH": str(tmp_path)}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "3 skipped" in done.stdout
    assert "apt-get install --no-install-recommends $(tools/slurm-local packages)" in done.stdout
    assert {"slurmctld", "slurmd", "slurm-client"} <= set(slurm_local("packages").split())


def test_without_a_running_cluster_they_say_what_starts_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_text("ClusterName=none\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=1\n")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    assert "tools/slurm-local run 2 8 -- pytest -m slurm" in why_no_cluster()
