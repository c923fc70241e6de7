"""Other data of the same name: no run starts from weights trained on them, and no table mixes results of both."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
import test_idx as idx
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.exchange.compare_folders import compare_folders
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.launch.local import Listener, run_local
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.plan import make_plan
from prunebench.benchmark.training.harness import Watch
from prunebench.datasets.mnist import Mnist

DENSE = Run(
    dataset="mnist",
    model="lenet-300-100",
    method="dense",
    seed=0,
    recipe=Recipe(epochs=2, batch_size=20, lr=0.01),
    validation=0.2,
)
PRUNED = replace(DENSE, method="global_mp", sparsity=0.9, parent=DENSE)


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two data roots whose data differ in one pixel."""
    monkeypatch.setattr(Mnist, "facts", replace(Mnist.facts, num_train=idx.TRAIN, num_test=idx.TEST))
    found = (tmp_path / "one", tmp_path / "two")
    for root in found:
        idx.write_set(root / "MNIST" / "raw")
    images = next((found[1] / "MNIST" / "raw").glob("train-images*"))
    content = bytearray(gzip.decompress(images.read_bytes()))
    content[-1] ^= 1
    images.write_bytes(gzip.compress(bytes(content)))
    return found


def settings(results: Path, root: Path) -> Settings:
    return Settings(results=results, data_root=root)


def test_weights_of_other_data_are_not_pruned(tmp_path: Path, roots: tuple[Path, Path]) -> None:
    results = tmp_path / "results"
    assert attempt(DENSE, "s", settings(results, roots[0])).outcome == "done"
    ending = attempt(PRUNED, "s", settings(results, roots[1]))
    assert (ending.outcome, ending.retryable) == ("failed", True)
    own = Store(results).folder("s", DENSE).read_result()
    assert own is not None
    for word in (str(roots[0]), str(roots[1]), own["data"]["fingerprint"][:12], "other mnist data", "--data-root"):
        assert word in ending.reason
    assert not Store(results).folder("s", PRUNED).history_path.exists()
    assert attempt(PRUNED, "s", settings(results, roots[0])).outcome == "done"


def test_a_checkpoint_of_other_data_is_not_resumed(tmp_path: Path, roots: tuple[Path, Path]) -> None:
    results = tmp_path / "results"
    assert attempt(DENSE, "s", settings(results, roots[0]), Watch(stop=lambda: True)).outcome == "interrupted"
    place = Store(results).folder("s", DENSE)
    before = (place.checkpoint_path.read_bytes(), place.history())
    ending = attempt(DENSE, "s", settings(results, roots[1]))
    assert ending.outcome == "failed"
    assert f"checkpoint {place.checkpoint_path} was computed on other mnist data" in ending.reason
    assert (place.checkpoint_path.read_bytes(), place.history()) == before
    assert attempt(DENSE, "s", settings(results, roots[0])).outcome == "done"


def test_compare_names_the_data(tmp_path: Path, roots: tuple[Path, Path]) -> None:
    for name, root in zip("ab", roots, strict=True):
        assert attempt(DENSE, "s", settings(tmp_path / name, root)).outcome == "done"
    found = compare_folders(tmp_path / "a", tmp_path / "b")
    assert [(name, count) for name, _, _, count in found.provenance] == [("data fingerprint", 1)]


def test_the_launcher_refuses_before_anything_runs(tmp_path: Path) -> None:
    """In a worker process, which knows the published sizes only: the digits, with another stored fingerprint."""
    from prunebench.benchmark.runs.files import write_json

    dense = replace(DENSE, dataset="digits", model="convnet-small", recipe=Recipe(epochs=1, batch_size=100))
    pruned = replace(dense, method="global_mp", sparsity=0.9, parent=dense)
    assert attempt(dense, "s", settings(tmp_path, tmp_path)).outcome == "done"
    place = Store(tmp_path).folder("s", dense)
    result = place.read_result()
    assert result is not None
    result["data"]["fingerprint"] = "0" * 64
    write_json(place.result_path, result)
    jobs = make_plan("s", [pruned], Store(tmp_path)).to_do
    with pytest.raises(UserError, match="was computed on other digits data: fingerprint 000000000000"):
        run_local(jobs, "s", settings(tmp_path, tmp_path), 1, Listener())
    assert not Store(tmp_path).folder("s", pruned).path.exists()
