"""Tests marked `slurm` need a running cluster; without one they are skipped, with the command that starts one.

If a test cluster was started for them and does not answer, that is an error: a run that skips all would be green.
"""

from __future__ import annotations

import os

import pytest
from cluster import Place
from jobs import Jobs, start
from scenarios import Scenario, play
from tool import why_no_cluster


@pytest.hookimpl(trylast=True)  # after `-m` has deselected tests
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("slurm")]
    reason = why_no_cluster() if marked else ""
    if reason and "SLURM_LOCAL_DIR" in os.environ:
        raise pytest.UsageError(reason)
    for item in marked if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The folder of the undisturbed results; `played` computes them while its first jobs run."""
    return Place(tmp_path_factory.mktemp("reference"), seeds="[0, 1]")


@pytest.fixture(scope="session")
def started_jobs(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    return start(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory, reference: Place, started_jobs: Jobs) -> dict[str, Scenario]:
    """All faults, played while the jobs of `started_jobs` are computed."""
    return play(tmp_path_factory.mktemp("faults"), reference)
