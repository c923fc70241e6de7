"""The fair study of the suite on digits: one budget, its controls, and what its tables say first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prunebench.benchmark.cli import app
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.studies.plan import with_parents

NAME = "fair-digits"
SMALL = ("--set", "seeds=[0]", "--set", "dataset.options.limit=150", "--only", "sparsity=0,95%")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One seed of the study at one sparsity."""
    root = tmp_path_factory.mktemp("results")
    study = load_study(NAME, ("seeds=[0]", "dataset.options.limit=150"), only=["sparsity=0,95%"])
    for run in with_parents(study.runs):
        assert attempt(run, NAME, Settings(results=root)).outcome == "done"
    return root


def call(command: str, results: Path, *arguments: str) -> Any:
    return CliRunner().invoke(
        app, [command, NAME, *SMALL, "--results", str(results), *arguments], catch_exceptions=False
    )


def test_every_row_has_the_budget(results: Path) -> None:
    plan = json.loads(call("plan", results, "--json").stdout)
    assert {key: plan["budget"][key] for key in ("unit", "total", "dense")} == {
        "unit": "epochs", "total": 6, "dense": "included"
    }  # fmt: skip
    rows = {row["label"]: row for row in plan["budget"]["rows"]}
    assert [row["left"] for label, row in rows.items() if label != "Dense"] == [0] * 8
    assert (rows["Global MP"]["dense"], rows["Global MP"]["own"], rows["SNIP"]["own"]) == (3, 3, 6)
    assert "  Global MP at 95%: 3 + 3 epochs: 6, left 0" in call("plan", results).stdout.splitlines()


def test_what_was_computed_is_what_the_ledger_says(results: Path) -> None:
    plan = json.loads(call("plan", results, "--json").stdout)
    table = json.loads(call("table", results, "--kind", "accuracy", "--json").stdout)["tables"][0]
    spent = {row["label"]: row["cells"][-2]["value"] for row in table["rows"]}
    assert spent == {row["label"]: row["dense"] + row["own"] for row in plan["budget"]["rows"]}
    caption = " ".join(json.loads(call("table", results, "--kind", "cost", "--json").stdout)["tables"][0]["caption"])
    assert "The budget is 6 epochs, dense training included: rows spent between 100.0 % (" in caption


def test_tables_lead_with_the_controls(results: Path) -> None:
    lead = "Whether Global MP beats its controls cannot be told yet: there is at most 1 pair of runs, and it takes 3; "
    printed = call("table", results).stdout
    assert printed.startswith(lead)
    assert printed.count(lead) == 1
    assert call("table", results, "--kind", "paired").stdout.startswith(lead)


def test_scores_are_part_of_the_cost(results: Path) -> None:
    """SNIP scores 128 training samples: a forward and a backward pass of each, of 304,768 multiply-adds forward."""
    found = {}
    for path in results.rglob("result.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        cost = result["cost"]
        assert cost["scoring_macs"] == 3 * 304_768 * cost["scored_samples"]
        found[result["run"]["method"]] = cost["scored_samples"]
    assert found.pop("snip") == 128
    assert set(found.values()) == {0}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("budget.total=3", "budget of 3 epochs, 0 after the dense training of 3: no whole epoch of global_mp fits"),
        ("controls.require=[bigger]", "unknown control 'bigger'; known: dense_longer, random_erk"),
        ("controls.of=Grasp", "unknown row 'Grasp'"),
    ],
)
def test_what_is_missing_is_one_line_before_anything_runs(assignment: str, message: str, tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", NAME, "--set", assignment]
    done = subprocess.run(
        [*command, "--results", str(tmp_path / "r")], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()
