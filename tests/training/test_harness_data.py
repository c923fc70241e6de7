"""The whole harness on files in the exact format of each data set, with network access blocked."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import test_cifar as cifar
import test_har2 as har2
import test_idx as idx
import test_imagenet as imagenet
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.datasets.fashion_mnist import FashionMnist
from prunebench.datasets.har2 import Har2
from prunebench.datasets.imagenet import ImageNet
from prunebench.datasets.mnist import Mnist


def write_files(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a small copy of a data set that is accepted as the published one."""
    if name in cifar.KINDS:
        kind = cifar.KINDS[name]
        cifar.write_set(root, kind)
        cifar.accept(kind, root / kind.folder, monkeypatch)
    elif name == "har2":
        har2.write_set(root / har2.FOLDER)
        monkeypatch.setattr(Har2, "facts", replace(Har2.facts, num_train=har2.TRAIN, num_test=har2.TEST))
    elif name == "imagenet":
        imagenet.write_folders(root / "imagenet")
        counts = {"num_classes": 3, "num_train": 3 * imagenet.TRAIN, "num_test": 3 * imagenet.TEST}
        monkeypatch.setattr(ImageNet, "facts", replace(ImageNet.facts, **counts))
        monkeypatch.setenv("PRUNEBENCH_WORKERS", "0")
    else:
        kind = {"mnist": Mnist, "fashion_mnist": FashionMnist}[name]
        idx.write_set(root / {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name] / "raw")
        monkeypatch.setattr(kind, "facts", replace(kind.facts, num_train=idx.TRAIN, num_test=idx.TEST))
        monkeypatch.setattr(FashionMnist, "system_folders", ())


CASES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any], float]] = {
    "mnist": ("lenet-5", {}, "global_mp", {}, 0.9),
    "fashion_mnist": ("convnet-small", {}, "global_mp", {}, 0.9),
    "cifar10": ("resnet-20", {}, "global_mp", {"minimum_threshold": 0.1}, 0.9),
    "cifar100": ("resnet-20", {}, "global_mp", {}, 0.9),
    "imagenet": ("resnet-50", {"width": 0.0625}, "global_mp", {}, 0.9),
    "har2": ("fastgrnn", {"hidden": 12, "rank_u": 12}, "global_mp_columns", {"rank_u": 4}, 0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_dense_training_pruning_and_fine_tuning(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(name, tmp_path / "data", monkeypatch)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a run opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model, model_options, method, options, sparsity = CASES[name]
    recipe = Recipe(epochs=1, batch_size=20, lr=0.01)
    dense = Run(
        dataset=name,
        dataset_options=frozen_options({"limit": 100} if name.startswith("cifar") else {}),
        model=model,
        model_options=frozen_options(model_options),
        method="dense",
        seed=0,
        recipe=recipe,
        validation=0.2,
    )
    pruned = replace(dense, method=method, method_options=frozen_options(options), sparsity=sparsity, parent=dense)
    settings = Settings(results=tmp_path / "results", data_root=tmp_path / "data")
    for run in (dense, pruned):
        ending = attempt(run, "study", settings)
        assert ending.outcome == "done", ending.reason
    result = Store(settings.results).folder("study", pruned).read_result()
    assert result is not None
    assert len(result["data"]["fingerprint"]) == 64
    assert (result["accuracy"]["last_top5"] is not None) == (result["accuracy"]["last"] is not None)
    assert result["accuracy"]["selected"] is not None
    if method == "global_mp":
        assert result["sparsity"]["kept"] == num_kept(result["sparsity"]["prunable"], sparsity)
    else:
        # 8 of 12 columns of U1 and rows of U2 are gone
        assert result["sparsity"]["prunable"] - result["sparsity"]["kept"] == 8 * 12 * 2


def test_a_broken_file_is_one_clear_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt names the file, and there is no result."""
    write_files("cifar10", tmp_path / "data", monkeypatch)
    broken = next((tmp_path / "data").rglob("data_batch_3"))
    broken.write_bytes(broken.read_bytes()[:1000])
    run = Run(dataset="cifar10", model="resnet-20", method="dense", seed=0, recipe=Recipe(epochs=1))
    settings = Settings(results=tmp_path / "results", data_root=tmp_path / "data")
    ending = attempt(run, "study", settings)
    assert ending.outcome == "failed"
    assert "data_batch_3" in ending.reason
    assert not Store(settings.results).folder("study", run).result_path.exists()
