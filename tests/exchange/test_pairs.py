"""Measured pairs travel with the results of their runs: by records, and from one results folder to another."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prunebench.benchmark.cli import app
from prunebench.benchmark.launch.measure_pairs import pair_states
from prunebench.benchmark.runs.files import read_json, write_json
from prunebench.benchmark.runs.pair_files import pair_path, write_pair
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.benchmark.studies.pairs import Pair, pairs_of
from synthetic_results import store_result

STUDY = """
name: paired
dataset: digits
model: convnet-small
seeds: [0, 1]
retrain_seeds: [1, 2]
measure: [lmc, cka]
train: {epochs: 2, batch_size: 64, lr: 0.05}
runs: [{method: global_mp, sparsity: 90%}]
"""
ERRORS = [index / 20 for index in range(11)]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "paired.yaml").write_text(STUDY, encoding="utf-8")
    return load_study(str(tmp_path / "paired.yaml"))


@pytest.fixture
def root(study: Study, tmp_path: Path) -> Path:
    """All four runs with their weights, and what is measured of both pairs."""
    fill(tmp_path / "one", study)
    return tmp_path / "one"


def fill(root: Path, study: Study, weights: str = "weights of") -> None:
    store = Store(root)
    for pair in pairs_of(study.rows):
        digests = [keep(store_result(store, study.name, run, 0.9), f"{weights} {run.id}") for run in pair.runs]
        write_pair(path_of(root, pair), content_of(pair, digests))


def keep(folder: RunFolder, weights: str) -> str:
    """Store weights; their SHA-256."""
    content = weights.encode()
    digest = hashlib.sha256(content).hexdigest()
    folder.model_path.write_bytes(content)
    files = {folder.model_path.name: {"sha256": digest, "bytes": len(content)}}
    write_json(folder.result_path, {**read_json(folder.result_path), "files": files})
    return digest


def content_of(pair: Pair, digests: list[str]) -> dict[str, Any]:
    return {
        "runs": [run.id for run in pair.runs], "weights": digests, "data": "d", "same_mask": True, "errors": ERRORS,
        "cka_samples": 100, "cka_softmax": 0.97, "cka_logits": None, "provenance": {"host": "first"},
    }  # fmt: skip


def path_of(root: Path, pair: Pair) -> Path:
    return pair_path(root, "paired", pair.name)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def change(path: Path, **values: Any) -> None:
    write_json(path, {**read_json(path), **values})


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_another_machine_has_the_pairs_from_records_and_measures_none(study: Study, root: Path, tmp_path: Path) -> None:
    records, two = tmp_path / "records", tmp_path / "two"
    done = call("record", tmp_path / "paired.yaml", "--results", root, "-o", records)
    assert f"{records}: 6 new records, 0 changed, 0 there already" in done.stderr
    before = tree(records)
    assert sorted(name for name in before if "pairs/" in name) == sorted(
        f"pairs/{pair.name}.json" for pair in pairs_of(study.rows)
    )
    assert "6 there already" in call("record", tmp_path / "paired.yaml", "--results", root, "-o", records).stderr
    told = call("merge", records, "--into", two)
    assert (told.exit_code, told.stderr) == (0, f"{two}: 4 copied, 0 equal and skipped, 2 pairs copied, 0 equal\n")
    states = pair_states(study, Store(two))
    assert (states.measured, states.ready, states.without_weights, states.waiting) == (2, (), (), 0)
    assert read_json(path_of(two, pairs_of(study.rows)[0])) == read_json(path_of(root, pairs_of(study.rows)[0]))
    # and the second machine's records have the same bytes
    call("record", tmp_path / "paired.yaml", "--results", two, "-o", tmp_path / "again")
    assert tree(tmp_path / "again") == before
    told = call("merge", records, "--into", two)
    assert (told.exit_code, told.stderr) == (0, f"{two}: 0 copied, 4 equal and skipped, 0 pairs copied, 2 equal\n")


def test_results_folders_are_merged_with_their_pairs(root: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    dry = call("merge", root, "--into", two, "--dry-run")
    assert f"{two}: 4 to copy, 0 equal and skipped, 2 pairs to copy, 0 equal" in dry.stderr
    assert not two.exists()
    assert call("merge", root, "--into", two).exit_code == 0
    assert tree(two) == tree(root)
    assert call("merge", root / "paired", "--into", tmp_path / "three").exit_code == 0
    assert tree(tmp_path / "three") == tree(root)


def test_other_numbers_of_a_pair_are_a_conflict_and_both_stay(study: Study, root: Path, tmp_path: Path) -> None:
    two, path = tmp_path / "two", path_of(tmp_path / "two", pairs_of(study.rows)[0])
    fill(two, study)
    change(path, cka_softmax=0.5, provenance={"host": "second"})
    before = tree(two)
    told = call("merge", root, "--into", two)
    assert told.exit_code == 1
    assert f"conflict: pair {path.stem} of paired is measured otherwise in {path} than in {root}" in told.stderr
    assert "both are kept: cka_softmax: 0.5 | 0.97" in told.stderr
    assert "0 pairs copied, 1 equal, 1 in conflict" in told.stderr
    assert tree(two) == before
    told = call("merge", root, two, "--into", tmp_path / "three")
    assert "2 pairs copied, 1 equal, 1 in conflict" in told.stderr
    assert tree(tmp_path / "three") == tree(root)


def test_a_pair_gains_what_it_lacks_and_keeps_what_it_has(study: Study, root: Path, tmp_path: Path) -> None:
    fill(tmp_path / "two", study)
    first, second = (path_of(tmp_path / "two", pair) for pair in pairs_of(study.rows))
    whole, host = read_json(first), {"host": "second"}
    write_json(first, {key: value for key, value in whole.items() if "cka" not in key} | {"provenance": host})
    second.write_text("{", encoding="utf-8")
    told = call("merge", root, "--into", tmp_path / "two")
    assert told.exit_code == 0
    assert f"set aside: {second}" in told.stderr
    assert "2 pairs copied, 0 equal" in told.stderr
    assert read_json(first) == whole | {"provenance": host}
    assert second.with_name(f"{second.name}.damaged").read_text(encoding="utf-8") == "{"
    assert read_json(second)["cka_softmax"] == 0.97


def test_a_pair_of_other_weights_is_left_out(study: Study, root: Path, tmp_path: Path) -> None:
    two, pair = tmp_path / "two", pairs_of(study.rows)[0]
    # a run that was computed anew since, to other bits
    keep(Store(root).folder("paired", pair.runs[0]), "other bits")
    told = call("merge", root, "--into", two)
    assert f"left out: {path_of(root, pair)}: no results of its runs name the weights" in told.stderr
    assert "4 copied, 0 equal and skipped, 1 pair copied" in told.stderr
    assert not path_of(two, pair).exists()
    # there it is of the weights that are stored, and takes the place of one that is not
    fill(tmp_path / "three", study)
    change(path_of(tmp_path / "three", pair), weights=["0" * 64, "1" * 64], cka_softmax=0.1)
    fill(root, study)
    assert call("merge", root, "--into", tmp_path / "three").exit_code == 0
    assert read_json(path_of(tmp_path / "three", pair)) == read_json(path_of(root, pair))


def test_damaged_pairs_are_named(study: Study, root: Path, tmp_path: Path) -> None:
    records, (first, second) = tmp_path / "records", pairs_of(study.rows)
    call("record", tmp_path / "paired.yaml", "--results", root, "-o", records)
    paths = [records / "pairs" / f"{pair.name}.json" for pair in (first, second)]
    content = json.loads(paths[0].read_text(encoding="utf-8"))
    paths[0].write_text(json.dumps({**content, "study": "../elsewhere"}), encoding="utf-8")
    paths[1].write_bytes(paths[0].read_bytes().replace(b"../elsewhere", b"paired"))
    told = call("merge", records, "--into", tmp_path / "two")
    assert told.exit_code == 1
    assert f"damaged and left out: {paths[0]}: study: '../elsewhere' is no name of a study" in told.stderr
    assert (
        f"damaged and left out: {paths[1]}: it is of runs {' and '.join(run.id for run in first.runs)}" in told.stderr
    )
    assert "4 copied, 0 equal and skipped, 2 damaged" in told.stderr
    path_of(root, first).write_text("[]", encoding="utf-8")
    told = call("record", tmp_path / "paired.yaml", "--results", root, "-o", tmp_path / "again")
    assert "5 new records" in told.stderr
    assert str(path_of(root, first)) in told.stderr
