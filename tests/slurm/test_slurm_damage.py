"""Damaged files of the launcher: they are reported and skipped, and no job is queued twice."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from cluster import STUDY, Place
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.runs.files import write_json
from prunebench.benchmark.runs.store import Store
from prunebench.slurm.job import RunTask
from prunebench.slurm.squeue import cache_path
from prunebench.slurm.submission import find_submissions, read_manifest, task_record_path
from prunebench.slurm.turn import FOLDER
from simulated import SimulatedQueue, simulate
from synthetic_results import store_result
from test_slurm_supervisor import make_run, order_for


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> SimulatedQueue:
    return simulate(monkeypatch)


@pytest.fixture
def place(tmp_path: Path, queue: SimulatedQueue) -> Place:
    """Three jobs are queued: a dense training, and two runs that wait for it."""
    made = Place(tmp_path / "here")
    assert "submitted 3 runs as 3 jobs" in made.submit()
    return made


def another_study(place: Place, sparsities: str = "[80%]") -> Place:
    study = STUDY.replace("name: fault", "name: other")
    return Place(place.folder / "other", sparsities=sparsities, study=study, results_folder=place.results)


def write(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content, encoding="utf-8")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_file_of_submission(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.touch()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (write(""), "manifest.json: not valid JSON"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:100]), "manifest.json: not valid JSON"),
    "list": (write("[]"), "manifest.json: it names no version of the format"),
    "number": (write("7"), "manifest.json: it names no version of the format"),
    "nested": (write("[" * 100_000), "manifest.json: not valid JSON"),
    "keys missing": (write('{"schema": 1}'), "manifest.json: study: Field required"),
    "other types": (
        lambda path: path.write_text(path.read_text(encoding="utf-8").replace('"arrays": [', '"arrays": [3,')),
        "manifest.json: arrays.0: Input should be a valid dictionary",
    ),
    "gone": (Path.unlink, "manifest.json: it is missing"),
    "folder": (make_folder, "manifest.json: it is a folder, not a file"),
    "file of the submission": (make_file_of_submission, "it is a file, not a folder"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_manifest_stops_nothing_and_duplicates_no_job(
    place: Place, queue: SimulatedQueue, damage: str
) -> None:
    spoil, reason = DAMAGES[damage]
    (submission,) = find_submissions(place.results)
    spoil(submission / "manifest.json")
    code, shown, _ = place.command("status")
    assert code == 0
    assert "fault: 3 runs: 3 missing" in shown
    assert f"3 jobs in the queue, which runs they compute is not known: 1_0, 2_0, 2_1  [{submission}]" in shown
    assert "1 damaged file, left out here" in shown
    assert reason in shown
    with pytest.raises(UserError, match=r"3 jobs in the queue belong .*nothing is submitted; wait .*cancel fault"):
        place.submit()
    assert len(queue.jobs) == 3
    assert reason in place.command("clean", chooses=False)[2]
    assert find_submissions(place.results) == [submission], "its jobs are in the queue"
    said = place.command("cancel", chooses=False)[2]
    assert "cancelled 3 jobs: 1, 2" in said
    assert reason in said
    said = place.submit()
    assert reason in said
    assert "submitted 3 runs as 3 jobs" in said
    assert place.counts() == {"queued": 3}
    assert f"removed {submission}" in place.command("clean", chooses=False)[2]
    assert len(find_submissions(place.results)) == 1
    assert "damaged" not in place.command("status")[1]


def test_all_damaged_files_are_named_in_one_message(place: Place, queue: SimulatedQueue) -> None:
    """Two manifests and the record of a job are damaged; what can be read still counts."""
    for sparsities in ("[80%]", "[90%]"):
        another_study(place, sparsities).submit()
    (first,) = find_submissions(place.results, "fault")
    spoiled = [path / "manifest.json" for path in find_submissions(place.results, "other")]
    spoiled.append(task_record_path(first, 0, 0))
    for path in spoiled:
        path.write_text("{", encoding="utf-8")
    shown = place.command("status")[1]
    assert "fault: 3 runs: 3 queued" in shown
    assert "3 damaged files, left out here" in shown
    assert all(f"{path}: not valid JSON" in shown for path in spoiled)
    assert "nothing to submit" in place.submit()
    assert len(queue.jobs) == 5


def test_only_dense_trainings_of_another_study_are_in_the_way(place: Place, queue: SimulatedQueue) -> None:
    (submission,) = find_submissions(place.results)
    manifest = read_manifest(submission)
    (submission / "manifest.json").write_text("{", encoding="utf-8")
    other = another_study(place)
    with pytest.raises(UserError, match=r"1 jobs in the queue belong to .*cancel fault"):
        other.submit()
    (dense,) = (run for run in other.runs[0:1] if run.parent)
    assert dense.parent is not None
    assert manifest.arrays[0].elements == ((dense.parent.id,),)
    store_result(Store(place.results), "other", dense.parent, 0.5).model_path.touch()
    assert "submitted 1 runs as 1 jobs" in other.submit()
    assert "cancelled 1 jobs" in other.command("cancel", chooses=False)[2]
    assert len(queue.jobs) == 3


def test_a_submission_that_is_about_to_begin_is_not_damaged(place: Place) -> None:
    """Killed between making its folder and writing its manifest."""
    (place.results / "fault" / "submissions" / "0002-abcdef").mkdir()
    (place.results / "fault" / "submissions" / "0002-abcdef" / ".manifest.json.x").touch()
    assert "damaged" not in place.command("status")[1]
    assert len(find_submissions(place.results)) == 1


@pytest.mark.parametrize("name", ["submissions", FOLDER])
def test_a_file_in_place_of_a_folder_is_set_aside(
    place: Place, queue: SimulatedQueue, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    place.command("cancel", chooses=False)
    folder = place.results / FOLDER if name == FOLDER else place.results / "fault" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("mine", encoding="utf-8")
    assert place.command("status")[0] == 0
    assert place.command("cancel", chooses=False)[0] == 0
    assert place.command("clean", chooses=False)[0] == 0
    said = place.submit()
    assert "set aside" in said + capfd.readouterr().err
    assert "submitted 3 runs" in said
    assert folder.with_name(f"{folder.name}.damaged").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "content", ["", "[1]", "7", '{"schema": 1}', '{"schema": 1, "starts": 3}', "[" * 100_000, None]
)
def test_a_job_sets_a_damaged_record_of_its_own_aside(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunebench.slurm.supervisor.Supervisor.compute", lambda self, runs: None)
    path = task_record_path(tmp_path, 0, 0)
    path.parent.mkdir()
    if content is None:
        path.mkdir()
    else:
        path.write_text(content, encoding="utf-8")
    RunTask(order_for(tmp_path, [make_run("snip", 1)]))()
    assert "it is kept as 000-0000.json.damaged, and the job goes on with an empty one" in capsys.readouterr().out
    assert path.with_name("000-0000.json.damaged").exists()
    assert path.is_file()


def test_a_job_whose_records_are_no_folder_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunebench.slurm.supervisor.Supervisor.compute", lambda self, runs: None)
    path = task_record_path(tmp_path, 0, 0)
    path.parent.touch()
    RunTask(order_for(tmp_path, [make_run("snip", 1)]))()
    assert "it is kept as tasks.damaged" in capsys.readouterr().out
    assert path.is_file()


CONTENTS = ["", "[1]", "7", "null", "{}", '{"queue": [], "time": "x"}', "[" * 100_000]


@pytest.mark.parametrize("content", CONTENTS)
def test_a_remembered_queue_of_any_content_is_asked_for_again(place: Place, content: str) -> None:
    place.command("status")
    cache_path(place.results).write_text(content, encoding="utf-8")
    assert place.look(use_cache=True).count("queued") == 3


def test_a_damaged_result_whose_job_waits_is_not_queued_twice(place: Place, queue: SimulatedQueue) -> None:
    run = place.runs[-1]
    path = Store(place.results).folder(place.name, run).result_path
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="utf-8")
    assert place.state(run).state == "queued"
    assert "nothing to submit" in place.submit()
    assert len(queue.jobs) == 3
    place.command("cancel", chooses=False)
    assert place.state(run).state == "damaged"
    shown = place.command("status")[1]
    assert "  damaged " in shown
    assert f"{path}: not valid JSON" in shown
    assert "submitted 3 runs" in place.submit()


def test_logs_and_retry_go_on_past_damaged_records(place: Place) -> None:
    """One of two submissions of the run cannot be read, and one of its logs is a folder."""
    place.command("cancel", chooses=False)
    place.submit()
    first, second = find_submissions(place.results)
    (first / "manifest.json").write_text("[]", encoding="utf-8")
    run = place.runs[0]
    array = read_manifest(second).arrays[1]
    log = second / array.folder / f"{array.job}_{array.elements.index((run.id,))}_0_log.out"
    log.mkdir()
    words = ["--results", str(place.results)]
    for _ in ("without a folder of the run", "with one"):
        done = CliRunner().invoke(app, ["logs", run.id, *words])
        assert done.exit_code == 0, done.exception
        assert f"{first / 'manifest.json'}: it names no version of the format" in done.stderr
        assert f"log of its job: {log}" in done.stderr
        assert "it cannot be read: Is a directory" in done.stderr
        folder = Store(place.results).folder(place.name, run)
        folder.create(run)
        folder.write_attempt(1, {"host": "h", "outcome": "failed", "reason": "r", "retryable": False})
    assert CliRunner().invoke(app, ["retry", run.id, *words]).exit_code == 0
    assert folder.status().state == "interrupted"


@pytest.mark.parametrize("content", ["[1]", "7", "garbage", "", '{"pid": "x", "since": "y"}', None])
def test_a_turn_of_any_content_is_taken(place: Place, content: str | None) -> None:
    path = place.results / FOLDER / "claim.json"
    path.parent.mkdir(exist_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match="a process that has just begun"):
            place.command("cancel", chooses=False)
    long_ago = time.time() - 60.0
    os.utime(path, (long_ago, long_ago))
    assert "cancelled 3 jobs" in place.command("cancel", chooses=False)[2]
    assert "submitted 3 runs" in place.submit()


def test_a_manifest_of_a_later_version_with_more_keys_is_read(place: Place) -> None:
    (submission,) = find_submissions(place.results)
    path = submission / "manifest.json"
    manifest = read_manifest(submission)
    content = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**content, "more": 1, "arrays": [{**array, "more": 1} for array in content["arrays"]]})
    assert read_manifest(submission) == manifest
