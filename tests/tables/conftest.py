"""A working folder with a small study, empty or filled."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import accuracy
from prunebench.benchmark.runs.store import Store
from synthetic_results import fill, write_study


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with study.yaml and nothing stored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRUNEBENCH_RESULTS", raising=False)
    write_study(tmp_path)
    return tmp_path


@pytest.fixture
def filled(place: Path) -> Path:
    fill(Store(place / "results"), write_study(place), accuracy)
    return place
