"""Preparing MNIST: four files with checksums, from mirrors or from a folder."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.datasets import registry
from prunebench.datasets.mnist import Mnist
from test_idx import TEST, TRAIN, write_set
from test_prepare_download import Server, left_behind, md5, server

__all__ = ["server"]


@pytest.fixture
def mnist_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four small files that are accepted as MNIST's."""
    folder = tmp_path / "by hand"
    write_set(folder)
    monkeypatch.setattr(Mnist, "checksums", {path.name: (md5(path.read_bytes()),) for path in folder.iterdir()})
    monkeypatch.setattr(Mnist, "facts", replace(Mnist.facts, num_train=TRAIN, num_test=TEST))
    return folder


def test_mnist_from_mirrors(server: Server, mnist_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mnist, "mirrors", (server.url,))
    server.files |= {path.name: path.read_bytes() for path in mnist_files.iterdir()}
    root = tmp_path / "data"
    assert registry.prepare("mnist", root=root) == root / "MNIST" / "raw"
    assert len(server.requests) == 4
    registry.prepare("mnist", root=root)
    assert len(server.requests) == 4
    assert registry.check("mnist", root=root)[2].endswith("as prepared")
    noted = json.loads((root / "MNIST" / "raw" / "prunebench.json").read_text())
    assert (noted["name"], noted["source"]) == ("mnist", server.url)
    assert left_behind(root) == []
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    registry.prepare("mnist", root=root)
    assert [path for path, _ in server.requests[4:]] == ["t10k-labels-idx1-ubyte.gz"]
    registry.load("mnist", root=root)


def test_a_damaged_plain_file_is_replaced(mnist_files: Path, tmp_path: Path) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"damaged")
    registry.prepare("mnist", root=tmp_path / "data", archive=mnist_files)
    assert len(registry.load("mnist", root=tmp_path / "data", validation=0).train) == TRAIN


def test_mnist_from_a_folder(mnist_files: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    registry.prepare("mnist", root=root, archive=mnist_files)
    assert len(registry.load("mnist", root=root, validation=0).train) == TRAIN
    assert len([*mnist_files.iterdir()]) == 4, "the user's files stay where they are"


def test_a_wrong_file_in_the_folder_is_named(mnist_files: Path, tmp_path: Path) -> None:
    name = "t10k-images-idx3-ubyte.gz"
    (mnist_files / name).write_bytes(gzip.compress(b"other"))
    with pytest.raises(UserError, match=f"{name} is not {name}, or is truncated"):
        registry.prepare("mnist", root=tmp_path / "data", archive=mnist_files)
    assert left_behind(tmp_path / "data") == []
    (mnist_files / name).unlink()
    with pytest.raises(UserError, match=f"{name} is not a file"):
        registry.prepare("mnist", root=tmp_path / "data", archive=mnist_files)
    with pytest.raises(UserError, match="is not a folder; expected one with train-images"):
        registry.prepare("mnist", root=tmp_path / "data", archive=tmp_path / "mnist.zip")
