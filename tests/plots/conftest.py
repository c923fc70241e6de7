"""A small study with a result for every run."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawing import accuracy
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from synthetic_results import fill, write_study


@pytest.fixture
def made(tmp_path: Path) -> tuple[Study, Store]:
    study, store = write_study(tmp_path), Store(tmp_path / "results")
    fill(store, study, accuracy)
    return study, store
