"""A recipe names its precision; `auto` of earlier versions is refused, and its results are still read."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.files import write_json
from prunebench.benchmark.runs.run import Recipe, Run, from_dict, to_dict
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.tables.kinds import make_table, render
from prunebench.benchmark.training.evaluate import forward_precision

STUDY = """\
name: s
dataset: {name: digits, options: {limit: 100}}
model: lenet-300-100
seeds: [0]
train: {epochs: 1, batch_size: 50}
runs: [{method: dense}]
"""
RUN = Run(
    dataset="digits", dataset_options=(("limit", 100),), model="lenet-300-100", method="dense", seed=0,
    recipe=Recipe(epochs=1, batch_size=50),
)  # fmt: skip
OLD: Any = replace(RUN, recipe=replace(RUN.recipe, precision="auto"))  # type: ignore[arg-type]


def test_auto_in_a_study_is_one_line_that_names_the_values(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(STUDY.replace("epochs: 1", "epochs: 1, precision: auto"), encoding="utf-8")
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", str(path), "--results", str(tmp_path / "r")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    message = f"prunebench: {path}:5: 'train.precision' is 'auto': input should be 'float32', 'tf32' or 'bfloat16'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
    assert not (tmp_path / "r").exists()


def test_a_stored_run_with_auto_is_not_computed(tmp_path: Path) -> None:
    """It would compute float32 under an id that may have meant bfloat16."""
    ending = attempt(OLD, "s", Settings(results=tmp_path, device="cpu"))
    assert (ending.outcome, ending.retryable) == ("failed", False)
    assert ending.reason == (
        "UserError: precision 'auto' is not known any more; write one of float32, tf32, bfloat16 in the study"
    )


def test_a_stored_result_with_auto_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(STUDY, encoding="utf-8")
    assert attempt(RUN, "s", Settings(results=tmp_path, device="cpu")).outcome == "done"
    store = Store(tmp_path)
    result = store.folder("s", RUN).read_result()
    assert result is not None
    assert result["provenance"]["execution"]["precision"] == "float32"
    study = load_study(str(path))
    expected = render(make_table("accuracy", study, store), "md")
    # what an earlier version stored: another id, and the choice with its measured gain
    result["provenance"]["execution"] |= {"precision": "bfloat16", "bfloat16_speedup": 1.5}
    older = Store(tmp_path / "older")
    folder = older.folder("s", OLD)
    folder.create(OLD)
    write_json(folder.result_path, {**result, "id": OLD.id, "run": to_dict(OLD)})
    assert from_dict(to_dict(OLD)) == OLD
    assert OLD.id != RUN.id
    old_study = replace(study, rows=tuple(replace(row, run=OLD) for row in study.rows))
    assert render(make_table("accuracy", old_study, older), "md") == expected


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_forward_pass_is_in_the_recipes_precision(precision: Any, dtype: torch.dtype) -> None:
    with forward_precision(Recipe(epochs=1, precision=precision), torch.device("cpu")):
        assert torch.nn.Linear(4, 4)(torch.ones(2, 4)).dtype == dtype
