"""The script that makes a study's reference folder: all its files, from a study that is partly stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark.analysis.export import read_export
from prunebench.benchmark.exchange.records import read_record
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    import reference

    return reference


def test_a_study_with_one_run_missing(reference: Any, tiny_study: Path, tmp_path: Path) -> None:
    study, results = load_study(str(tiny_study)), tmp_path / "results"
    for run in study.runs[:2]:
        attempt(run, study.name, Settings(results=results))
    folder = tmp_path / "made"
    reference.make_folder(study, Store(results), folder)
    records = {path.stem: read_record(path) for path in (folder / "runs").iterdir()}
    assert set(records) == {run.id for run in study.runs[:2]}
    assert all(len(epochs) == 3 for _, epochs in records.values())
    frame = read_export(folder / "runs.csv")
    assert frame["state"].tolist() == ["done", "done", "missing"]
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    assert set(texts) == {f"accuracy{part}.md" for part in ("", "-selected", "-best-test")} | {
        "cost.md", "pareto.md", "paired.md"
    }  # fmt: skip
    assert "Best TEST epoch" in texts["accuracy-best-test.md"]
    assert f"{100 * frame['accuracy_last'][1]:.2f}" in texts["accuracy.md"]
    assert {path.name for path in folder.glob("*.png")} == {"accuracy.png", "pareto.png", "layers.png"}
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    reference.make_folder(study, Store(results), folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_curves_are_drawn_once_all_runs_are_there(reference: Any, tiny_study: Path, tmp_path: Path) -> None:
    study, results = load_study(str(tiny_study)), tmp_path / "results"
    for run in study.runs:
        attempt(run, study.name, Settings(results=results))
    reference.make_folder(study, Store(results), tmp_path / "made", "a copy")
    assert all(
        path.read_text(encoding="utf-8").endswith("\nData: a copy.\n") for path in (tmp_path / "made").glob("*.md")
    )
    assert (tmp_path / "made" / "training.png").exists()
