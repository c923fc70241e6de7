"""`status`: what waits for a living `run` is queued, and how long what is left will take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prunebench.benchmark.cli import app
from prunebench.benchmark.runs.claim import CLAIM, Claim
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.runs.waiting import FOLDER, noted, waiting
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.studies.plan import with_parents
from synthetic_results import store_failure, store_result, write_study


def status(folder: Path, *more: str) -> str:
    arguments = ["status", str(folder / "study.yaml"), "--results", str(folder / "results"), *more]
    return CliRunner().invoke(app, arguments, catch_exceptions=False).output


def states(folder: Path) -> dict[str, str]:
    return {job["id"]: job["state"] for job in json.loads(status(folder, "--json"))["jobs"]}


def time_left(folder: Path) -> dict[str, Any]:
    return json.loads(status(folder, "--json"))["time_left"]


@pytest.fixture
def made(tmp_path: Path) -> tuple[Study, Store, Sequence[str]]:
    """A study of 21 runs, 3 of them dense trainings, and the ids of all of them, dense trainings first."""
    study = write_study(tmp_path)
    return study, Store(tmp_path / "results"), [run.id for run in with_parents(study.runs)]


def test_runs_in_the_queue_of_a_living_command_are_queued(
    made: tuple[Study, Store, Sequence[str]], tmp_path: Path
) -> None:
    study, store, ids = made
    dense = [run for run in with_parents(study.runs) if run.is_dense]
    store_result(store, study.name, dense[0], 0.98).model_path.touch()
    store_failure(store, study.name, dense[1], "it diverged")
    with noted(store.study_folder(study.name), ids[:10], num_workers=2):
        found = states(tmp_path)
        assert [found[run.id] for run in dense] == ["done", "failed", "queued"]
        children = {run.id: run.parent for run in study.runs if run.parent is not None}
        for run_id in ids[3:10]:
            parent = children.get(run_id)
            assert found[run_id] == ("blocked" if parent == dense[1] else "queued"), run_id
        assert {found[run_id] for run_id in ids[10:]} <= {"missing", "blocked"}
        # one line for each state that asks for attention, none for those that wait
        assert "queued" not in "".join(status(tmp_path).splitlines()[1:])
    assert "queued" not in states(tmp_path).values()
    assert not (store.study_folder(study.name) / FOLDER).exists()


def test_what_a_killed_command_noted_counts_no_more_and_is_removed(
    made: tuple[Study, Store, Sequence[str]], tmp_path: Path
) -> None:
    study, store, ids = made
    folder = store.study_folder(study.name)
    script = (
        "import os, sys, pathlib; from prunebench.benchmark.runs.waiting import noted\n"
        f"with noted(pathlib.Path({str(folder)!r}), {list(ids)!r}, 1): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    (left,) = (folder / FOLDER).iterdir()
    assert {path.name for path in left.iterdir()} == {CLAIM, "runs.json"}
    assert waiting(folder) == []
    assert set(states(tmp_path).values()) == {"missing"}
    with noted(folder, ids, 1):
        assert not left.exists()


def test_runs_are_computed_where_nothing_can_be_noted(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file", encoding="utf-8")
    with noted(tmp_path, ["a"], 1):
        assert waiting(tmp_path) == []


def test_the_time_left_is_that_of_missing_epochs_over_the_workers(
    made: tuple[Study, Store, Sequence[str]], tmp_path: Path
) -> None:
    study, store, ids = made
    assert "time left: not known before the first epochs are done (21 runs)" in status(tmp_path)
    # dense: 2 epochs in 36 s. Others have 3 epochs, SNIP trains from initialisation as long as dense training.
    dense = [run for run in study.runs if run.is_dense]
    for run in dense:
        store_result(store, study.name, run, 0.98).model_path.touch()
    left = [run for run in study.runs if not run.is_dense]
    seconds = sum(18.0 * run.recipe.epochs for run in left)
    assert time_left(tmp_path) == {"runs": 18, "workers": 0, "work_seconds": seconds, "seconds": None}
    with noted(store.study_folder(study.name), ids, num_workers=4):
        assert time_left(tmp_path) == {"runs": 18, "workers": 4, "work_seconds": seconds, "seconds": seconds / 4}
    assert "time left: nothing is at work; 18 runs take one worker about" in status(tmp_path)


def test_the_epochs_of_runs_at_work_count_before_stored_ones(
    made: tuple[Study, Store, Sequence[str]], tmp_path: Path
) -> None:
    study, store, _ = made
    dense = [run for run in study.runs if run.is_dense]
    store_result(store, study.name, dense[0], 0.98)
    folder = store_result(store, study.name, dense[1], 0.98)
    folder.result_path.unlink()
    first = folder.history_path.read_text().splitlines()[0]
    folder.history_path.write_text(first + "\n", encoding="utf-8")
    folder.write_attempt(1, {"host": "here", "pid": os.getpid(), "begin": 1000.0, "outcome": None})
    os.utime(folder.history_path, (1050.0, 1050.0))
    claim = Claim.take(folder.path)
    assert claim is not None
    try:
        # one of its two epochs is left, and the first took 50 s
        assert time_left(tmp_path) == {"runs": 1, "workers": 1, "work_seconds": 50.0, "seconds": 50.0}
        assert "time left: about 50s for 1 run on 1 worker" in status(tmp_path)
    finally:
        claim.release()


def test_nothing_is_said_of_time_where_nothing_is_left(
    made: tuple[Study, Store, Sequence[str]], tmp_path: Path
) -> None:
    study, store, _ = made
    for run in with_parents(study.runs):
        store_result(store, study.name, run, 0.9)
    assert status(tmp_path) == "small: 21 runs: 21 done\n"
