"""`prunebench claim`: its table, and exit codes for scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from prunebench.benchmark.runs.store import Store
from synthetic_results import STUDY, fill, write_study

ACCURACIES = {"dense": 0.9, "snip": 0.85, "random": 0.80, "global_mp": 0.80}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("claims")
    study = write_study(folder, STUDY + "claims: [snip > random, 'snip >= dense at 90%']\n")
    fill(
        Store(folder / "results"), study, lambda run: ACCURACIES[run.method] + 0.001 * run.seed * (run.method == "snip")
    )
    return folder


def claim(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "claim", "study.yaml", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        (["snip > random"], 0),
        ([], 1),
        (["global_mp > random"], 3),
        (["snip < random", "global_mp > random"], 1),
        (["snip > grasp"], 2),
    ],
)
def test_the_exit_code_says_whether_all_hold(folder: Path, claims: list[str], code: int) -> None:
    assert claim(folder, *claims).returncode == code


def test_the_table_has_a_row_for_each_sparsity(folder: Path) -> None:
    made = claim(folder, "--json")
    verdicts = [row["cells"][-1]["text"] for row in json.loads(made.stdout)["table"]["rows"]]
    assert verdicts == ["holds", "holds", "fails"]
    assert "corrected by Holm for 3 tests" in claim(folder).stdout


def test_the_caption_counts_the_tests_that_were_made(folder: Path) -> None:
    """With two seeds no claim is tested."""
    assert "corrected by Holm for 0 tests" in claim(folder, "--set", "seeds=[0, 1]").stdout


def test_csv_says_what_each_number_is(folder: Path) -> None:
    lines = claim(folder, "snip > random at 90%", "--format", "csv").stdout.splitlines()
    assert lines[0].startswith("study,row,measure,mean,")
    assert [line.split(",")[2] for line in lines[1:]] == ["sparsity", "difference", "p", "verdict"]


def test_a_study_without_claims_says_how_to_give_one(folder: Path) -> None:
    (folder / "none.yaml").write_text(STUDY, encoding="utf-8")
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "claim", "none.yaml"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert made.stderr == "prunebench: study 'small' lists no claims; give one: 'A >= B at 90%'\n"
