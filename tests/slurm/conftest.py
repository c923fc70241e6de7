"""Tests marked `slurm` need a running cluster; without one they are skipped with the command that helps.

Where a test cluster was started for them, its silence is an error: a run that skips them all would be green.
"""

from __future__ import annotations

import os

import pytest
from cluster import Place
from jobs import Jobs, start
from scenarios import Scenario, play
from tool import why_no_cluster


@pytest.hookimpl(trylast=True)  # when what `-m` leaves out is gone
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("slurm")]
    reason = why_no_cluster() if marked else ""
    if reason and "SLURM_LOCAL_DIR" in os.environ:
        raise pytest.UsageError(reason)
    for item in marked if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where the undisturbed results come to lie; `played` computes them while its first jobs run."""
    return Place(tmp_path_factory.mktemp("reference"), seeds="[0, 1]")


@pytest.fixture(scope="session")
def started_jobs(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    return start(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory, reference: Place, started_jobs: Jobs) -> dict[str, Scenario]:
    """Those jobs are computed meanwhile."""
    return play(tmp_path_factory.mktemp("faults"), reference)
