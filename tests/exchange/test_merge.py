"""Results of several machines in one folder: copied completely, skipped if equal, reported if they contradict."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prunebench.benchmark.cli import app
from prunebench.benchmark.exchange.copy_run import Taken, copy_run
from prunebench.benchmark.exchange.merge import differing_fields, plan_merge
from prunebench.benchmark.exchange.sources import read_sources
from prunebench.benchmark.runs.claim import Claim
from prunebench.benchmark.runs.files import read_json, write_json
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.store import Store
from synthetic_results import make_result, store_result, write_study

WEIGHTS = b"the weights of a dense training"


def write(root: Path, study_folder: Path, accuracy: Callable[[Run], float | None] = lambda run: 0.9) -> dict[str, Run]:
    """Results of the small study's first seed in `root`; the runs by method, those at 90 % only."""
    runs = {run.method: run for run in write_study(study_folder).runs if run.seed == 0 and run.sparsity in (0.0, 0.9)}
    for run in runs.values():
        value = accuracy(run)
        if value is not None:
            folder = store_result(Store(root), "small", run, value)
            if run.is_dense:
                add_weights(folder)
    return runs


def add_weights(folder: RunFolder, content: bytes = WEIGHTS) -> None:
    folder.model_path.write_bytes(content)
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    change(folder, files={"model.safetensors": facts})


def change(folder: RunFolder, **changes: Any) -> None:
    write_json(folder.result_path, {**read_json(folder.result_path), **changes})


def merge(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["merge", *map(str, arguments)])


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_two_machines_become_one_folder_and_a_second_merge_copies_nothing(tmp_path: Path) -> None:
    runs = write(tmp_path / "a", tmp_path, lambda run: None if run.method == "snip" else 0.9)
    write(tmp_path / "b", tmp_path, lambda run: None if run.method == "random" else 0.9)
    done = merge(tmp_path / "a", tmp_path / "b", "--into", tmp_path / "all")
    assert done.exit_code == 0, done.stderr
    assert f"{tmp_path / 'all'}: 4 copied, 2 equal and skipped" in done.stderr
    # every file of every run, weights included, and no claim or temporary file
    assert tree(tmp_path / "all") == {**tree(tmp_path / "b"), **tree(tmp_path / "a")}
    assert Store(tmp_path / "all").folder("small", runs["dense"]).model_path.read_bytes() == WEIGHTS
    before = tree(tmp_path / "all")
    again = merge(tmp_path / "a", tmp_path / "b", "--into", tmp_path / "all")
    assert again.exit_code == 0
    assert "0 copied, 6 equal and skipped" in again.stderr
    assert tree(tmp_path / "all") == before


def test_another_result_of_a_run_is_named_with_its_fields_and_both_stay(tmp_path: Path) -> None:
    runs = write(tmp_path / "a", tmp_path)
    write(tmp_path / "b", tmp_path, lambda run: 0.8 if run.method == "snip" else 0.9)
    before = tree(tmp_path / "a"), tree(tmp_path / "b")
    done = merge(tmp_path / "b", "--into", tmp_path / "a")
    assert done.exit_code == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("conflict: ")]
    assert runs["snip"].id in line
    assert "accuracy.last: 0.9 | 0.8" in line
    assert str(tmp_path / "a") in line
    assert str(tmp_path / "b") in line
    assert "0 copied, 3 equal and skipped, 1 in conflict" in done.stderr
    assert (tree(tmp_path / "a"), tree(tmp_path / "b")) == before


def test_only_times_and_circumstances_may_differ(tmp_path: Path) -> None:
    run = write_study(tmp_path).runs[0]
    first, second = make_result("small", run, 0.9), make_result("small", run, 0.9)
    second["cost"] |= {"seconds": 99.0, "peak_memory_bytes": 1, "resumed": 3}
    second["provenance"] |= {"host": "there", "finished": 5.0, "device_name": "Another CPU", "revision": "def"}
    assert differing_fields(first, second) == []
    second["layers"][1]["kept"] += 1
    second["cost"]["epochs"] += 1
    assert differing_fields(first, second) == ["layers.mid.weight.kept: 1152 | 1153", "cost.epochs: 2 | 3"]
    first["provenance"]["weights"] = {"start": None, "stored": "aa"}
    assert len(differing_fields(first, second)) == 2, "weights that only one has kept are no contradiction"
    second["provenance"]["weights"] = {"start": None, "stored": "bb"}
    assert "weights.stored: aa | bb" in differing_fields(first, second)


def test_damaged_sources_are_named_and_left_out(tmp_path: Path) -> None:
    runs = write(tmp_path / "a", tmp_path)
    store = Store(tmp_path / "a")
    # the same number of bytes: only the digest shows the damage, when the file is copied
    store.folder("small", runs["dense"]).model_path.write_bytes(WEIGHTS.upper())
    store.folder("small", runs["snip"]).result_path.write_text("{", encoding="utf-8")
    shutil.copytree(store.folder("small", runs["random"]).path, tmp_path / "a/small/runs/0123456789ab")
    done = merge(tmp_path / "a", "--into", tmp_path / "b")
    assert done.exit_code == 1
    named = [line for line in done.stderr.splitlines() if line.startswith("damaged and left out: ")]
    assert len(named) == 3
    assert any("model.safetensors: its SHA-256 is not the one in its result" in line for line in named)
    assert any("0123456789ab" in line for line in named)
    assert "2 copied, 0 equal and skipped, 3 damaged" in done.stderr
    there = Store(tmp_path / "b")
    assert there.folder("small", runs["random"]).status().state == "done"
    assert there.folder("small", runs["dense"]).status().state == "missing"
    assert not there.folder("small", runs["dense"]).path.exists(), "nothing of it is left"


def test_a_damaged_result_of_the_target_is_set_aside_for_a_whole_one(tmp_path: Path) -> None:
    runs = write(tmp_path / "a", tmp_path)
    write(tmp_path / "b", tmp_path)
    folder = Store(tmp_path / "b").folder("small", runs["snip"])
    folder.result_path.write_text("{", encoding="utf-8")
    Store(tmp_path / "b").folder("small", runs["dense"]).model_path.unlink()
    done = merge(tmp_path / "a", "--into", tmp_path / "b")
    assert done.exit_code == 0, done.stderr
    assert "1 copied, 1 completed with weights and masks, 2 equal" in done.stderr
    assert (folder.path / "result.json.damaged").read_text(encoding="utf-8") == "{"
    assert Store(tmp_path / "b").folder("small", runs["dense"]).check_stored()
    assert folder.check_stored()


def test_running_runs_and_those_without_a_result_are_left_out(tmp_path: Path) -> None:
    runs = write(tmp_path / "a", tmp_path)
    store = Store(tmp_path / "a")
    store.folder("small", runs["random"]).result_path.unlink()
    claim = Claim.take(store.folder("small", runs["snip"]).path)
    assert claim is not None
    try:
        done = merge(tmp_path / "a", "--into", tmp_path / "b")
    finally:
        claim.release()
    assert done.exit_code == 0
    assert f"left out: {store.folder('small', runs['snip']).path} is computed by process " in done.stderr
    assert f"{tmp_path / 'a'}: runs without a result, left out: 1" in done.stderr
    assert "2 copied, 0 equal" in done.stderr
    assert not (tmp_path / "b/small/runs" / runs["snip"].id).exists()


def test_a_run_that_is_computed_in_the_target_is_left_to_its_process(tmp_path: Path) -> None:
    runs = write(tmp_path / "a", tmp_path)
    target = Store(tmp_path / "b").folder("small", runs["snip"])
    claim = Claim.take(target.path)
    assert claim is not None
    try:
        done = merge(tmp_path / "a", "--into", tmp_path / "b")
    finally:
        claim.release()
    assert f"left out: {target.path} is computed by process " in done.stderr
    assert "3 copied" in done.stderr
    assert not target.result_path.exists()


def test_a_result_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    write(tmp_path / "a", tmp_path)
    steps = plan_merge(read_sources(tmp_path / "a").sources, Store(tmp_path / "b")).steps
    write(tmp_path / "b", tmp_path, lambda run: 0.5)
    before = tree(tmp_path / "b")
    for step in steps:
        with pytest.raises(Taken, match="has a result meanwhile"):
            copy_run(step)
    assert tree(tmp_path / "b") == before


def test_a_killed_merge_leaves_no_result_and_the_next_one_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = write(tmp_path / "a", tmp_path)

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("prunebench.benchmark.exchange.copy_run.write_json", killed)
    assert merge(tmp_path / "a", "--into", tmp_path / "b").exit_code != 0
    monkeypatch.undo()
    folder = Store(tmp_path / "b").folder("small", runs["dense"])
    assert folder.model_path.exists()
    assert folder.status().state != "done"
    assert merge(tmp_path / "a", "--into", tmp_path / "b").exit_code == 0
    assert tree(tmp_path / "b") == tree(tmp_path / "a")


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a", tmp_path)
    done = merge(tmp_path / "a", "--into", tmp_path / "b", "--dry-run")
    assert done.exit_code == 0
    assert f"{tmp_path / 'b'}: 4 to copy, 0 equal and skipped" in done.stderr
    assert not (tmp_path / "b").exists()


def test_other_data_and_other_code_are_named(tmp_path: Path) -> None:
    runs = write(tmp_path / "a", tmp_path)
    write(tmp_path / "b", tmp_path, lambda run: 0.9 if run.method == "snip" else None)
    write(tmp_path / "c", tmp_path, lambda run: 0.9 if run.method == "random" else None)
    for name, method, code in (("a", "snip", "1111"), ("a", "random", "7777"), ("c", "random", "8888")):
        folder = Store(tmp_path / name).folder("small", runs[method])
        provenance = read_json(folder.result_path)["provenance"]
        change(folder, provenance={**provenance, "code": {"scheme": 1, "method": code, "network": "2222"}})
    other = {"fingerprint": "0123456789abcdef", "train": 1000, "validation": 100, "test": 500}
    change(Store(tmp_path / "b").folder("small", runs["snip"]), data=other)
    done = merge(tmp_path / "b", tmp_path / "c", "--into", tmp_path / "a")
    assert done.exit_code == 1, "the same runs on other data, and by other code, are conflicts too"
    data = (
        f"other data under one name: digits: f in {tmp_path / 'a'} (4 runs), 0123456789ab in {tmp_path / 'b'} (1 run)"
    )
    assert data in done.stderr
    code = f"method random: 7777 in {tmp_path / 'a'} (1 run), 8888 in {tmp_path / 'c'} (1 run)"
    assert f"other code under one name: {code}" in done.stderr
    assert "network" not in done.stderr
    assert "data.fingerprint: f | 0123456789abcdef" in done.stderr
    assert "code.method: 7777 | 8888" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent", "--into", "b"], "no folder absent of results or records"),
        (["empty", "--into", "b"], "empty has neither results (dense/, STUDY/runs/) nor records (RUN.json) in it"),
        (["empty", "--into", "empty"], "empty is the results folder itself"),
        (["empty", "--into", "file"], "--into file is a file, not a folder"),
    ],
)
def test_what_cannot_be_merged_is_reported(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    done = merge(*arguments)
    assert message in str(done.exception), done.output
    assert getattr(done.exception, "exit_code", None) == 2
    assert not (tmp_path / "b").exists()


def test_results_of_another_format_stop_the_command_before_anything_is_copied(tmp_path: Path) -> None:
    runs = write(tmp_path / "a", tmp_path)
    change(Store(tmp_path / "a").folder("small", runs["snip"]), schema=2)
    done = merge(tmp_path / "a", "--into", tmp_path / "b")
    assert "has result format 2, this version reads 1" in str(done.exception)
    assert not (tmp_path / "b").exists()


def test_a_record_cannot_lead_out_of_the_results_folder(tmp_path: Path) -> None:
    run = write_study(tmp_path).runs[3]
    (tmp_path / "records").mkdir()
    result = {**make_result("../../out", run, 0.9)}
    content = {"record": 1, "result": result, "history": []}
    (tmp_path / f"records/{run.id}.json").write_text(json.dumps(content), encoding="utf-8")
    done = merge(tmp_path / "records", "--into", tmp_path / "b/c/d")
    assert done.exit_code == 1
    assert "study: '../../out' is no name of a study" in done.stderr
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "out").exists()
