"""Masks, kept weights and epochs of a stored result: `run` notices files of other content, and computes it again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prunebench.benchmark.api.errors import Damaged, UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs import known_digests
from prunebench.benchmark.runs.files import read_json, write_json
from prunebench.benchmark.runs.history import whole_history
from prunebench.benchmark.runs.known_digests import KnownDigests, digests_path
from prunebench.benchmark.runs.recompute import REQUEST
from prunebench.benchmark.runs.run import DENSE as DENSE_METHOD
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.runs.stored_files import damaged_files
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.training.harness import Watch
from test_damage import in_place_of, zero_bytes

DENSE = Run(
    dataset="digits", dataset_options=frozen_options({"limit": 200}), model="convnet-small", method=DENSE_METHOD,
    seed=3, recipe=Recipe(epochs=2, batch_size=50, lr=0.1),
)  # fmt: skip
PRUNED = replace(DENSE, method="global_mp", sparsity=0.9, parent=DENSE)
OTHER = replace(DENSE, method="global_mp", sparsity=0.8, parent=DENSE)
STUDY = """
name: s
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [3]
train: {epochs: 2, batch_size: 50, lr: 0.1}
runs: [{method: dense}, {method: global_mp, sparsity: [80%, 90%]}]
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that is stored, with the weights of its pruned runs."""
    results = tmp_path_factory.mktemp("whole") / "results"
    for run in (DENSE, OTHER, PRUNED):
        assert attempt(run, "s", Settings(results=results, keep_weights=True)).outcome == "done"
    return results


@pytest.fixture
def results(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy; commands run in its parent folder."""
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(STUDY, encoding="utf-8")
    return Path(shutil.copytree(whole, tmp_path / "results"))


def folder(results: Path, run: Run) -> RunFolder:
    return Store(results).folder("s", run)


def command(*words: str) -> Result:
    return CliRunner().invoke(app, [*words, "s.yaml"])


def run_study() -> Result:
    return command("run", "--keep-weights", "--jobs", "1", "--device", "cpu")


def contents(results: Path, run: Run) -> dict[str, Any]:
    """What a second computation must reproduce: all numbers except times, and the bytes of masks and weights."""
    place = folder(results, run)
    result = place.read_result()
    assert result is not None
    numbers = {key: result[key] for key in ("run", "accuracy", "loss", "sparsity", "macs", "layers", "files", "parent")}
    tensors = {path.name: path.read_bytes() for path in place.path.glob("*.safetensors")}
    epochs = [{key: value for key, value in epoch.items() if "seconds" not in key} for epoch in place.history()]
    return {**numbers, **tensors, "epochs": epochs, "start": result["provenance"]["weights"]["start"]}


def take_of_other(path: Path) -> None:
    other = folder(path.parents[3], OTHER).path / path.name
    if path.name.startswith("masks"):
        assert other.stat().st_size == path.stat().st_size, "only the digest can tell"
    shutil.copy2(other, path)


def lose_last_line(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")


def change_a_digit(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    place = text.index('"train_loss": ') + len('"train_loss": 0.')
    path.write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}", encoding="utf-8")


DAMAGES: dict[str, tuple[Run, str, Callable[[Path], object], str]] = {
    "masks: zeroed": (PRUNED, "masks.safetensors", zero_bytes, "its SHA-256 is not the one in its result"),
    "masks: another run's": (PRUNED, "masks.safetensors", take_of_other, "its SHA-256 is not the one in its result"),
    "masks: cut off": (PRUNED, "masks.safetensors", lambda path: os.truncate(path, 99), "it has 99 bytes"),
    "masks: missing": (PRUNED, "masks.safetensors", Path.unlink, "it is missing, and its result says that it is there"),
    "masks: a folder": (
        PRUNED, "masks.safetensors", lambda path: in_place_of(path, is_loop=False), "it is a folder, not a file",
    ),
    "masks: a loop": (
        PRUNED, "masks.safetensors", lambda path: in_place_of(path, is_loop=True), "it is a link that leads back",
    ),
    "masks: a pipe": (
        PRUNED, "masks.safetensors", lambda path: (path.unlink(), os.mkfifo(path)), "it is a device or a pipe",
    ),
    "kept weights: zeroed": (PRUNED, "model.safetensors", zero_bytes, "its SHA-256 is not the one in its result"),
    "kept weights: another run's": (PRUNED, "model.safetensors", take_of_other, "its SHA-256 is not"),
    "kept weights: missing": (PRUNED, "model.safetensors", Path.unlink, "it is missing"),
    "kept weights: a loop": (
        PRUNED, "model.safetensors", lambda path: in_place_of(path, is_loop=True), "it is a link that leads back",
    ),
    "dense weights: zeroed": (DENSE, "model.safetensors", zero_bytes, "its SHA-256 is not the one in its result"),
    "dense weights: missing": (DENSE, "model.safetensors", Path.unlink, "it is missing"),
    "dense weights: a folder": (
        DENSE, "model.safetensors", lambda path: in_place_of(path, is_loop=False), "it is a folder, not a file",
    ),
    "history: cut": (PRUNED, "history.jsonl", lose_last_line, "bytes, its result says"),
    "history: a digit": (PRUNED, "history.jsonl", change_a_digit, "its SHA-256 is not the one in its result"),
    "history: missing": (PRUNED, "history.jsonl", Path.unlink, "it is missing"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_run_computes_anew_what_has_another_file(damage: str, results: Path, whole: Path) -> None:
    run, name, spoil, reason = DAMAGES[damage]
    path = folder(results, run).path / name
    spoil(path)
    is_there = os.path.lexists(path)
    for reading in ("status", "table", "plan"):
        assert command(reading).exit_code == 0
    done = run_study()
    assert done.exit_code == 0, done.output
    (line,) = (line for line in done.stderr.splitlines() if "is damaged" in line)
    assert str(path.relative_to(results.parent)) in line
    assert reason in line
    assert line.endswith("and the run is computed anew" if is_there else "; the run is computed anew")
    assert "s: 1 computed, 0 failed" in done.stderr
    assert os.path.lexists(path.with_name(f"{name}.damaged")) == is_there
    assert contents(results, run) == contents(whole, run)
    for other in {DENSE, OTHER, PRUNED} - {run}:
        assert folder(results, other).result_path.read_bytes() == folder(whole, other).result_path.read_bytes()
    again = run_study()
    assert "all 3 finished runs are stored; nothing to compute" in again.stderr
    assert "older" not in again.stderr, "what started from the dense training belongs to it still"


def test_the_result_stays_until_the_new_one_is_there(results: Path) -> None:
    """Tables still show the result, for example if its data are gone."""
    place = folder(results, PRUNED)
    before = place.result_path.read_bytes()
    place.masks_path.unlink()
    refused = command("run", "--device", "cuda:99")
    assert refused.exit_code != 0
    assert place.result_path.read_bytes() == before
    assert "90" in command("table").stdout
    assert place.status().state == "missing"
    done = run_study()
    assert "s: 1 computed, 0 failed" in done.stderr
    assert not (place.path / REQUEST).exists()
    assert place.check_stored()


def test_all_damaged_files_of_a_run_are_named(results: Path) -> None:
    place = folder(results, PRUNED)
    for path in (place.masks_path, place.model_path, place.history_path):
        path.write_bytes(b"x")
    done = run_study()
    assert done.exit_code == 0, done.output
    assert done.stderr.count("set aside: ") == 3
    assert "s: 1 computed, 0 failed" in done.stderr


def test_results_without_digests_and_from_records_are_accepted(results: Path) -> None:
    """The first results are of older versions; the files of the second are on another machine."""
    for run, change in ((PRUNED, {"files": {}}), (OTHER, {"from_record": True})):
        place = folder(results, run)
        result = place.read_result()
        assert result is not None
        del result["provenance"]["history"]
        write_json(place.result_path, {**result, **change})
        for path in place.path.glob("*.safetensors"):
            path.unlink()
    assert "nothing to compute" in run_study().stderr


def test_a_run_that_another_process_holds_is_left_to_it(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prunebench.benchmark.runs.damage import set_aside_files

    folder(results, PRUNED).masks_path.unlink()
    monkeypatch.setattr("prunebench.benchmark.runs.damage.Claim.take", lambda path: None)
    assert set_aside_files(folder(results, PRUNED)) == []
    assert not (folder(results, PRUNED).path / REQUEST).exists()


def test_damage_in_a_folder_that_cannot_be_written_is_named(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(results, PRUNED).masks_path.unlink()

    def refuse(results: Path) -> None:
        raise UserError(f"the results folder {results} cannot be written")

    monkeypatch.setattr("prunebench.benchmark.cli.options.check_writable", refuse)
    refused = run_study()
    assert "masks.safetensors is damaged: it is missing" in refused.stderr
    assert "cannot be written" in str(refused.exception)


def test_a_file_is_read_once_until_it_changes(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_digests, "SETTLED_NS", 0)
    digest_of, read = known_digests.digest_of, list[Path]()

    def counting(path: Path) -> str:
        read.append(path)
        return digest_of(path)

    monkeypatch.setattr(known_digests, "digest_of", counting)
    store, runs = Store(results), load_study("s.yaml").runs
    assert damaged_files("s", runs, store) == {}
    assert len(read) == 8, "masks of two runs, weights and epochs of three"
    assert damaged_files("s", runs, store) == {}
    assert len(read) == 8
    path = folder(results, PRUNED).masks_path
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    ((run, (error,)),) = damaged_files("s", runs, store).items()
    assert (run.id, error.path, len(read)) == (PRUNED.id, path, 9)
    for text in ("", "{", "prunebench digests 1, crc32 00000000\n"):
        digests_path(path.parents[1]).write_text(text, encoding="utf-8")
        assert len(damaged_files("s", runs, store)) == 1, "remembered digests that are damaged are not believed"


def test_young_files_are_not_remembered(results: Path) -> None:
    """A file that changes again within one tick of the clock would look the same."""
    digests = KnownDigests(results / "dense")
    digests.read(folder(results, DENSE).model_path)
    digests.save()
    assert not digests_path(results / "dense").exists()


def test_a_cache_that_cannot_be_written_is_done_without(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a folder has its name; the folder stays."""
    monkeypatch.setattr(known_digests, "SETTLED_NS", 0)
    path = digests_path(results / "dense")
    path.unlink(missing_ok=True)
    path.mkdir()
    assert damaged_files("s", load_study("s.yaml").runs, Store(results)) == {}
    assert path.is_dir()
    assert not list(results.glob(f".{path.name}.*")), "no temporary file stays"


def test_a_removed_run_leaves_the_cache(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_digests, "SETTLED_NS", 0)
    store, runs = Store(results), load_study("s.yaml").runs
    damaged_files("s", runs, store)
    path = digests_path(folder(results, PRUNED).path.parent)
    assert PRUNED.id in path.read_text(encoding="utf-8")
    shutil.rmtree(folder(results, PRUNED).path)
    change_time(folder(results, OTHER).masks_path)
    damaged_files("s", runs, store)
    assert OTHER.id in path.read_text(encoding="utf-8")
    assert PRUNED.id not in path.read_text(encoding="utf-8")


def change_time(path: Path) -> None:
    os.utime(path, (1e9, 1e9))


def test_readers_name_a_history_that_is_not_whole(results: Path) -> None:
    """For results of older versions the number of epochs is compared."""
    for run in (PRUNED, OTHER):
        lose_last_line(folder(results, run).history_path)
    place = folder(results, OTHER)
    result = place.read_result()
    assert result is not None
    del result["provenance"]["history"]
    write_json(place.result_path, result)
    with pytest.raises(Damaged, match="it has 1 epochs that can be read, its result says 2"):
        whole_history(place.history_path, result)
    for words in (("plot", "--output", "plots"), ("report", "-o", "r.html"), ("record", "-o", "records")):
        done = command(*words)
        assert done.exit_code == 0, done.output
        assert "2 damaged files, left out here" in done.stderr, words
        assert f"{place.history_path.relative_to(results.parent)}: it has 1 epochs" in done.stderr
    assert [path.stem for path in Path("records").iterdir()] == [DENSE.id]


def test_merge_leaves_out_a_run_whose_history_is_not_whole(results: Path) -> None:
    change_a_digit(folder(results, PRUNED).history_path)
    done = CliRunner().invoke(app, ["merge", "results", "--into", "other"])
    assert done.exit_code == 1
    assert "history.jsonl: its SHA-256 is not the one in its result" in done.stderr
    assert "2 copied, 0 equal and skipped, 1 damaged" in done.stderr
    assert not folder(results.parent / "other", PRUNED).path.exists()


def set_in(result: dict[str, Any], *place: str, value: Any) -> None:
    for key in place[:-1]:
        result = result[key]
    result[place[-1]] = value


CONTRADICTIONS: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "sparsity of the run": (("run", "sparsity"), 0.8, f"it describes run {OTHER.id}"),
    "recipe": (("run", "recipe", "lr"), 0.2, "it describes run "),
    "not a number": (("run", "sparsity"), float("nan"), "it describes no run"),
    "target": (("sparsity", "target"), 0.8, "sparsity.target: 0.8, its run says 0.9"),
    "dense training": (("parent",), "0123456789ab", f"parent: '0123456789ab', its run says '{DENSE.id}'"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_result_that_describes_another_run_is_computed_anew(case: str, results: Path, whole: Path) -> None:
    keys, value, reason = CONTRADICTIONS[case]
    path = folder(results, PRUNED).result_path
    result = read_json(path)
    set_in(result, *keys, value=value)
    path.write_text(json.dumps(result), encoding="utf-8")
    done = command("table")
    assert f"result.json: {reason}" in done.stderr
    done = run_study()
    assert f"result.json is damaged: {reason}" in done.stderr
    assert "s: 1 computed, 0 failed" in done.stderr
    assert path.with_name("result.json.damaged").exists()
    assert contents(results, PRUNED) == contents(whole, PRUNED)


def test_a_record_names_the_study_that_it_is_written_for(results: Path) -> None:
    """A run's folder may be copied to another study, where the same run has the same id."""
    Path("t.yaml").write_text(STUDY.replace("name: s", "name: t"), encoding="utf-8")
    shutil.copytree(results / "s", results / "t")
    done = CliRunner().invoke(app, ["record", "t.yaml", "-o", "records"])
    assert done.exit_code == 0, done.output
    studies = {path.stem: read_json(path)["result"]["study"] for path in Path("records").iterdir()}
    assert studies == {DENSE.id: "s", OTHER.id: "t", PRUNED.id: "t"}


def test_caches_of_older_versions_and_old_temporary_files_are_removed(results: Path) -> None:
    caches = [results / ".dense.index", results / "s" / ".runs.index"]
    old = [*caches, results / "..dense.index.a1b2c3d4", results / "s" / "..runs.digests.a1b2c3_4"]
    kept = [results / "..dense.digests.young123", results / "..mine", results / "s" / "..runs.index.old"]
    for path in (*old, *kept):
        path.touch()
    for path in (*old[2:], *kept[1:]):
        os.utime(path, (1e9, 1e9))
    assert run_study().exit_code == 0
    assert [path for path in (*old, *kept) if path.exists()] == kept


def test_the_wish_of_damaged_weights_outlives_a_stop(results: Path, whole: Path) -> None:
    """The dense training is computed again although the command that set its weights aside was interrupted."""
    zero_bytes(folder(results, DENSE).model_path)
    from prunebench.benchmark.runs.damage import set_aside_files

    assert len(set_aside_files(folder(results, DENSE))) == 1
    stopped = attempt(DENSE, "s", Settings(results=results, checkpoint_every=1), Watch(stop=lambda: True))
    assert stopped.outcome == "interrupted"
    assert folder(results, DENSE).read_result() is not None
    assert "s: 1 computed, 0 failed" in run_study().stderr
    assert contents(results, DENSE) == contents(whole, DENSE)


def test_epochs_that_are_damaged_while_their_run_is_computed_are_stored_whole(results: Path, whole: Path) -> None:
    place = folder(results, PRUNED)
    place.result_path.unlink()
    watch = Watch(on_epoch=lambda record: place.history_path.write_bytes(b"noise"))
    assert attempt(PRUNED, "s", Settings(results=results, keep_weights=True), watch).outcome == "done"
    assert contents(results, PRUNED) == contents(whole, PRUNED)
    assert "nothing to compute" in run_study().stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="to become another user takes root")
@pytest.mark.parametrize(
    ("closed", "words"),
    [
        ("masks.safetensors", "run s.yaml"), (".", "run s.yaml"), (".", "table s.yaml"), (".", "status s.yaml"),
        (".", "export s.yaml"), (".", f"logs {PRUNED.id}"), ("..", f"retry {PRUNED.id}"), ("..", "table s.yaml"),
    ],
)  # fmt: skip
def test_what_may_not_be_read_is_named_and_nothing_is_set_aside(
    closed: str, words: str, whole: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # other users cannot read pytest's own folders
    place = Path(tempfile.mkdtemp())
    request.addfinalizer(lambda: shutil.rmtree(place))
    place.chmod(0o755)
    monkeypatch.chdir(place)
    Path("s.yaml").write_text(STUDY, encoding="utf-8")
    results = Path(shutil.copytree(whole, "results"))
    results.chmod(0o755)
    # Once as root, to load all modules: the other user may not be able to read their files.
    CliRunner().invoke(app, words.split())
    path = Path(os.path.normpath(folder(results, PRUNED).path / closed))
    before, mode = sorted(results.rglob("*")), path.stat().st_mode
    path.chmod(0)
    os.seteuid(65534)
    try:
        done = CliRunner().invoke(app, words.split())
    finally:
        os.seteuid(0)
        path.chmod(mode)
    assert isinstance(done.exception, PermissionError), (done.exception, done.output)
    assert str(path) in str(done.exception.filename)
    assert sorted(results.rglob("*")) == before
