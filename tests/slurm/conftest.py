"""Tests marked `slurm` need a running cluster; without one they are skipped with the command that helps."""

from __future__ import annotations

import pytest
from tool import why_no_cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("slurm")]
    reason = why_no_cluster() if marked else ""
    for item in marked if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason))
