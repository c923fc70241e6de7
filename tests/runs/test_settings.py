"""The settings of a machine and a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.runs.settings import Settings, absolute


def test_paths_of_settings_do_not_follow_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = absolute(Settings(results=Path("r"), data_root=Path("d"), plugins=("p.py",)))
    assert (settings.results, settings.data_root) == (tmp_path / "r", tmp_path / "d")
    assert settings.plugins == (str(tmp_path / "p.py"),)
