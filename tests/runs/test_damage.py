"""Files that something else has changed: nothing wrong is stored, and everything damaged is computed again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.launch.attempt import Ending, attempt
from prunebench.benchmark.runs.claim import Claim
from prunebench.benchmark.runs.files import write_json
from prunebench.benchmark.runs.leftovers import remove_leftovers
from prunebench.benchmark.runs.recompute import NEW_HISTORY, REQUEST
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.plan import make_plan
from prunebench.benchmark.training import networks
from prunebench.benchmark.training.harness import Watch

RECIPE = Recipe(epochs=3, batch_size=50, lr=0.1)
DENSE = Run(
    dataset="digits", dataset_options=frozen_options({"limit": 200}), model="convnet-small", method="dense", seed=3,
    recipe=RECIPE,
)  # fmt: skip
PRUNED = replace(DENSE, method="global_mp", sparsity=0.9, parent=DENSE)
OTHER_SEED = replace(DENSE, seed=4)
STUDY = """
name: s
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [3]
train: {epochs: 3, batch_size: 50, lr: 0.1}
runs: [{method: dense}, {method: global_mp, sparsity: 90%}]
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results without any damage: two dense trainings and a pruned run, with its weights."""
    results = tmp_path_factory.mktemp("whole")
    for run in (DENSE, PRUNED, OTHER_SEED):
        assert attempt(run, "s", Settings(results=results, keep_weights=True)).outcome == "done"
    return results


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "results"))


def folder(results: Path, run: Run) -> RunFolder:
    return Store(results).folder("s", run)


def compute(run: Run, results: Path) -> tuple[Ending, list[str]]:
    notes: list[str] = []
    return attempt(run, "s", Settings(results=results, keep_weights=True), Watch(on_note=notes.append)), notes


def measured(results: Path, run: Run) -> dict[str, Any]:
    result = folder(results, run).read_result()
    assert result is not None
    return {key: result[key] for key in ("id", "run", "accuracy", "loss", "sparsity", "macs", "layers", "files")}


def zero_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 512] = bytes(512)
    path.write_bytes(content)


def forget(results: Path, run: Run) -> None:
    folder(results, run).result_path.unlink()


def test_results_say_which_files_they_speak_of(whole: Path) -> None:
    for run, names in ((DENSE, {"model.safetensors"}), (PRUNED, {"model.safetensors", "masks.safetensors"})):
        files = measured(whole, run)["files"]
        assert files.keys() == names
        assert all((folder(whole, run).path / name).stat().st_size == facts["bytes"] for name, facts in files.items())


def other_seed(results: Path) -> None:
    shutil.copy(folder(results, OTHER_SEED).model_path, folder(results, DENSE).model_path)


SPOILT_PARENT: dict[str, Callable[[Path], object]] = {
    "512 bytes of weights are zero": lambda results: zero_bytes(folder(results, DENSE).model_path),
    "weights of another seed": other_seed,
    "weights are cut off": lambda results: folder(results, DENSE).model_path.write_bytes(b"\0" * 100),
    "weights are gone": lambda results: folder(results, DENSE).model_path.unlink(),
    "the result is cut off": lambda results: folder(results, DENSE).result_path.write_text("{", encoding="utf-8"),
    "the result is another run's": lambda results: shutil.copy(
        folder(results, OTHER_SEED).result_path, folder(results, DENSE).result_path
    ),
}


@pytest.mark.parametrize("spoil", SPOILT_PARENT.values(), ids=SPOILT_PARENT)
def test_a_damaged_dense_training_is_computed_anew_before_its_child(
    spoil: Callable[[Path], object], results: Path, whole: Path
) -> None:
    forget(results, PRUNED)
    spoil(results)
    ending, notes = compute(PRUNED, results)
    assert ending.outcome == "done", ending
    assert len(notes) == 1, notes
    assert "is damaged" in notes[0]
    for run in (DENSE, PRUNED):
        assert measured(results, run) == measured(whole, run)
    assert "weights are gone" in notes[0] or list(folder(results, DENSE).path.glob("*.damaged"))


SPOILT_RESULT: dict[str, Callable[[Path], object]] = {
    "cut off": lambda path: path.write_text(path.read_text(encoding="utf-8")[:500], encoding="utf-8"),
    "zeros": lambda path: path.write_bytes(bytes(100)),
    "a list": lambda path: path.write_text("[]", encoding="utf-8"),
    "a number": lambda path: path.write_text("3", encoding="utf-8"),
    "empty": lambda path: path.write_text("", encoding="utf-8"),
    "an object": lambda path: path.write_text('{"schema": 1}', encoding="utf-8"),
    "a loss that is a list": lambda path: path.write_text(
        path.read_text(encoding="utf-8").replace('"loss":', '"loss": [1, "x"], "was":', 1), encoding="utf-8"
    ),
    "a part of another type": lambda path: path.write_text(
        path.read_text(encoding="utf-8").replace('"last":', '"last": "0.9", "was":', 1), encoding="utf-8"
    ),
}


@pytest.mark.parametrize("spoil", SPOILT_RESULT.values(), ids=SPOILT_RESULT)
def test_a_damaged_result_is_set_aside_and_computed_anew(
    spoil: Callable[[Path], object], results: Path, whole: Path
) -> None:
    spoil(folder(results, PRUNED).result_path)
    store = Store(results)
    assert [job.status.state for job in make_plan("s", [PRUNED], store).to_do] == ["damaged"]
    ending, notes = compute(PRUNED, results)
    assert ending.outcome == "done"
    assert "set aside" in notes[0]
    assert measured(results, PRUNED) == measured(whole, PRUNED)
    assert folder(results, PRUNED).path.joinpath("result.json.damaged").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 1, "id": "x", "run": {}}', ""])
def test_a_damaged_description_and_damaged_attempts_heal(content: str, results: Path, whole: Path) -> None:
    place = folder(results, PRUNED)
    forget(results, PRUNED)
    for path in (place.path / "run.json", place.path / "attempts" / "0001.json", place.history_path):
        path.write_text(content, encoding="utf-8")
    assert place.status().state == "interrupted"
    assert compute(PRUNED, results)[0].outcome == "done"
    assert measured(results, PRUNED) == measured(whole, PRUNED)
    assert place.describes(PRUNED)
    assert [attempt["outcome"] for attempt in place.attempts()] == [None, "done"]


def test_the_description_of_another_run_is_set_aside(results: Path) -> None:
    forget(results, PRUNED)
    shutil.copy(folder(results, DENSE).path / "run.json", folder(results, PRUNED).path / "run.json")
    ending, notes = compute(PRUNED, results)
    assert ending.outcome == "done"
    assert "describes another run" in notes[0]
    assert folder(results, PRUNED).describes(PRUNED)


def interrupted(run: Run, results: Path) -> Path:
    """The checkpoint of a run that was stopped after its second epoch."""
    epochs = iter(range(1, 100))
    ending = attempt(run, "s", Settings(results=results, keep_weights=True), Watch(stop=lambda: next(epochs) == 2))
    assert ending.outcome == "interrupted"
    return folder(results, run).checkpoint_path


def of_another_run(path: Path) -> None:
    results = path.parents[3]
    forget(results, OTHER_SEED)
    other = interrupted(OTHER_SEED, results)
    shutil.copy(other, path)


SPOILT_CHECKPOINT: dict[str, Callable[[Path], object]] = {
    "zeroed bytes": zero_bytes,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "without its first line": lambda path: path.write_bytes(path.read_bytes().partition(b"\n")[2]),
    "of another run": of_another_run,
}


@pytest.mark.parametrize("spoil", SPOILT_CHECKPOINT.values(), ids=SPOILT_CHECKPOINT)
def test_a_damaged_checkpoint_is_set_aside_and_the_run_begins_anew(
    spoil: Callable[[Path], object], results: Path, whole: Path
) -> None:
    forget(results, PRUNED)
    spoil(interrupted(PRUNED, results))
    ending, notes = compute(PRUNED, results)
    assert ending.outcome == "done"
    assert len(notes) == 1
    assert "checkpoint.pt is damaged" in notes[0]
    assert measured(results, PRUNED) == measured(whole, PRUNED)
    assert len(folder(results, PRUNED).history()) == 3
    result = folder(results, PRUNED).read_result()
    assert result is not None
    assert result["cost"]["resumed"] == 0


def test_files_of_killed_writers_are_removed_and_what_was_set_aside_stays(results: Path) -> None:
    place = folder(results, PRUNED)
    for _ in range(2):
        place.result_path.write_text("{", encoding="utf-8")
        for name in (".checkpoint.pt.x1y2", ".masks.safetensors.x1y2", "attempts/.0001.json.x1y2"):
            (place.path / name).write_bytes(b"half")
        (place.path / ".claim.0123").write_text("{}", encoding="utf-8")
        assert compute(PRUNED, results)[0].outcome == "done"
    left = sorted(path.name for path in place.path.rglob(".*"))
    assert left == [".claim.0123"], "a claim that another process may be looking at is left for a minute"
    kept = sorted(path.name for path in place.path.glob("*.damaged*"))
    assert [name for name in kept if name.startswith("result")] == ["result.json.damaged", "result.json.damaged-2"]


@pytest.mark.parametrize(
    "content", ["{", "[]", "3", '"x"', "null", "{}", '{"schema": 1}', '{"schema": []}', "\0", "\udcff"]
)
def test_no_command_ends_in_a_traceback_whatever_a_file_holds(
    content: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parent)
    Path("s.yaml").write_text(STUDY, encoding="utf-8")
    for path in (*results.rglob("*.json"), *results.rglob("*.jsonl")):
        path.write_bytes(content.encode(errors="surrogateescape"))
    for command in (
        "plan s.yaml", "status s.yaml", "table s.yaml", "table s.yaml --kind layers", "table s.yaml --kind cost",
        "export s.yaml", "report s.yaml -o r.html", "compare results results", f"logs {PRUNED.id}",
    ):  # fmt: skip
        done = CliRunner().invoke(app, command.split())
        assert done.exception is None or isinstance(done.exception, SystemExit | UserError), (command, done.exception)
        if command.startswith(("table", "export", "report", "compare")):
            count = 3 if command.startswith("compare") else 2
            assert f"{count} damaged files, left out here" in done.stderr, (command, done.stderr)


def test_run_removes_what_a_killed_process_left_beside_results(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results.parent)
    Path("s.yaml").write_text(STUDY, encoding="utf-8")
    place = folder(results, PRUNED)
    left = [place.checkpoint_path, place.path / ".masks.safetensors.x1y2", place.path / "attempts/.0001.json.x1y2"]
    left += [place.path / NEW_HISTORY]
    for path in left:
        path.write_bytes(b"half")
    left += [place.path / REQUEST]
    write_json(place.path / REQUEST, {"finished": 1.0, "asked": 2.0})  # about the earlier result
    assert CliRunner().invoke(app, ["run", "s.yaml"]).exit_code == 0
    assert not any(path.exists() for path in left)
    assert place.check_stored()


def test_no_command_takes_a_version_that_it_does_not_know_for_damage(results: Path) -> None:
    """Results of a newer version must be neither set aside nor overwritten."""
    path = folder(results, PRUNED).result_path
    text = path.read_text(encoding="utf-8").replace('"schema": 1', '"schema": 2')
    path.write_text(text, encoding="utf-8")
    ending, notes = compute(PRUNED, results)
    assert (ending.outcome, notes) == ("failed", [])
    assert "result format 2" in ending.reason
    assert path.read_text(encoding="utf-8") == text


def in_place_of(path: Path, *, is_loop: bool) -> None:
    """A folder that is not empty, or a link that leads back to itself, where a file should be."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if is_loop:
        path.symlink_to(path.name)
    else:
        path.mkdir()
        (path / "x").touch()


FILES = ("result.json", "run.json", "attempts/0001.json", "history.jsonl", "masks.safetensors", "checkpoint.pt",
         "recompute.json")  # fmt: skip


# only Claim writes a claim, and it never writes a link
@pytest.mark.parametrize(
    ("name", "is_loop"), [*((name, True) for name in FILES), *((name, False) for name in (*FILES, "claim.json"))]
)
def test_what_is_no_file_is_set_aside(
    name: str, is_loop: bool, results: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parent)
    Path("s.yaml").write_text(STUDY, encoding="utf-8")
    path = folder(results, PRUNED).path / name
    if name not in ("result.json", "recompute.json"):
        forget(results, PRUNED)
    in_place_of(path, is_loop=is_loop)
    os.utime(path, (time.time() - 60.0,) * 2, follow_symlinks=False)
    for command in ("plan s.yaml", "status s.yaml", "table s.yaml"):
        assert CliRunner().invoke(app, command.split()).exit_code == 0, command
    ending, _ = compute(PRUNED, results)
    assert ending.outcome == "done", ending
    assert measured(results, PRUNED) == measured(whole, PRUNED)


def test_files_in_the_place_of_folders_are_set_aside(results: Path, whole: Path) -> None:
    for place in (folder(results, PRUNED).path / "attempts", folder(results, PRUNED).path):
        forget(results, PRUNED)
        shutil.rmtree(place)
        place.write_text("x", encoding="utf-8")
        ending, notes = compute(PRUNED, results)
        assert ending.outcome == "done", ending
        assert "set aside" in notes[0]
        assert place.with_name(f"{place.name}.damaged").read_text(encoding="utf-8") == "x"
        assert measured(results, PRUNED) == measured(whole, PRUNED)


def test_a_run_waits_for_a_dense_training_that_another_process_computes_anew(results: Path) -> None:
    forget(results, PRUNED)
    parent = folder(results, DENSE)
    forget(results, DENSE)
    claim = Claim.take(parent.path)
    assert claim is not None
    try:
        assert compute(PRUNED, results)[0].outcome == "busy"
    finally:
        claim.release()
    assert compute(PRUNED, results)[0].outcome == "blocked"


def test_a_dense_training_that_another_process_has_computed_anew_is_not_set_aside(
    results: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(results, PRUNED)
    path = folder(results, DENSE).model_path
    good = path.read_bytes()
    zero_bytes(path)
    read = networks.load_weights

    def repaired_after(path: Path, facts: Any) -> Any:
        try:
            return read(path, facts)
        finally:
            path.write_bytes(good)

    monkeypatch.setattr(networks, "load_weights", repaired_after)
    ending, notes = compute(PRUNED, results)
    assert (ending.outcome, notes) == ("done", [])
    assert not list(path.parent.glob("*.damaged"))
    assert measured(results, PRUNED) == measured(whole, PRUNED)


def test_the_cost_of_the_dense_training_is_stored_though_that_is_set_aside_meanwhile(results: Path) -> None:
    forget(results, PRUNED)
    watch = Watch(on_epoch=lambda record: folder(results, DENSE).result_path.unlink(missing_ok=True))
    assert attempt(PRUNED, "s", Settings(results=results), watch).outcome == "done"
    result = folder(results, PRUNED).read_result()
    assert result is not None
    assert result["cost"]["parent"]["epochs"] == 3


def test_files_of_processes_that_ask_for_the_claim_are_left_for_a_minute(results: Path) -> None:
    place = folder(results, PRUNED)
    young, old = place.path / ".clock.0123", place.path / ".clock.4567"
    for path in (young, old):
        path.touch()
    os.utime(old, (time.time() - 100.0,) * 2)
    remove_leftovers(place)
    assert young.exists()
    assert not old.exists()


def test_results_that_can_only_be_read_are_complete_where_nothing_is_missing(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(results: Path) -> None:
        raise UserError(f"the results folder {results} cannot be written")

    monkeypatch.chdir(results.parent)
    monkeypatch.setattr("prunebench.benchmark.cli.compute_study.check_writable", refuse)
    Path("s.yaml").write_text(STUDY, encoding="utf-8")
    done = CliRunner().invoke(app, ["run", "s.yaml"])
    assert done.exit_code == 0
    assert "nothing to compute" in done.stderr
    forget(results, PRUNED)
    for arguments in ((), ("--recompute",), ("--retry-failed",)):
        refused = CliRunner().invoke(app, ["run", "s.yaml", *arguments])
        assert isinstance(refused.exception, UserError), arguments
        assert "cannot be written" in str(refused.exception)
