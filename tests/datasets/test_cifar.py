"""CIFAR-10 and CIFAR-100 from pickles that the tests write in the authors' format."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.datasets import registry
from prunebench.datasets.cifar10 import Cifar10
from prunebench.datasets.cifar100 import Cifar100
from prunebench.datasets.parts.cifar import Cifar
from torchvision import datasets as torchvision_datasets

CPU = torch.device("cpu")
KINDS: dict[str, type[Cifar]] = {"cifar10": Cifar10, "cifar100": Cifar100}


class Python2Pickler(pickle._Pickler):
    """Writes str and bytes as Python 2 wrote its byte strings."""

    dispatch: ClassVar[dict[type, Any]] = {**pickle._Pickler.dispatch}
    write: Any  # known to the pure Python class only
    memoize: Any

    def save_string(self, value: str | bytes) -> None:
        content = value.encode("latin-1") if isinstance(value, str) else value
        if len(content) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(content)]) + content)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def pickled(entry: dict[str, Any]) -> bytes:
    """Protocol 2, and numpy's functions at the address that they had when the files were written."""
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(entry)
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_set(root: Path, kind: type[Cifar], *, per_file: int = 200) -> dict[str, dict[str, Any]]:
    """The files of `kind` with random images; labels go through the classes in turn."""
    random = np.random.default_rng(0)
    folder = root / kind.folder
    folder.mkdir(parents=True)
    entries: dict[str, dict[str, Any]] = {}
    for name in (*kind.train_files, *kind.test_files):
        labels = [index % kind.facts.num_classes for index in range(per_file)]
        entries[name] = {"data": random.integers(0, 256, (per_file, 3072), dtype=np.uint8), kind.labels: labels}
    key = "label_names" if kind is Cifar10 else "fine_label_names"
    entries[kind.meta_file] = {key: [f"class {index}" for index in range(kind.facts.num_classes)]}
    for name, entry in entries.items():
        (folder / name).write_bytes(pickled(entry))
    return entries


def accept(kind: type[Cifar], folder: Path, monkeypatch: pytest.MonkeyPatch, *, per_file: int = 200) -> None:
    """Accept the files in `folder` as the published ones."""
    checksums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(kind, "checksums", checksums)
    counts = {"num_train": per_file * len(kind.train_files), "num_test": per_file}
    monkeypatch.setattr(kind, "facts", replace(kind.facts, **counts))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a small CIFAR-10 that is accepted as the published one; returns its folder."""
    write_set(tmp_path, Cifar10)
    accept(Cifar10, tmp_path / Cifar10.folder, monkeypatch)
    return tmp_path / Cifar10.folder


@pytest.mark.parametrize("name", KINDS)
def test_reads_what_torchvision_reads(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS[name]
    write_set(tmp_path, kind)
    accept(kind, tmp_path / kind.folder, monkeypatch)
    reader = torchvision_datasets.CIFAR10 if name == "cifar10" else torchvision_datasets.CIFAR100
    for table in ("train_list", "test_list"):
        monkeypatch.setattr(reader, table, [(file, kind.checksums[file]) for file, _ in getattr(reader, table)])
    monkeypatch.setitem(reader.meta, "md5", kind.checksums[kind.meta_file])
    arrays = kind().read(tmp_path)
    train, test = reader(str(tmp_path), train=True), reader(str(tmp_path), train=False)
    assert np.array_equal(arrays.train_inputs.permute(0, 2, 3, 1), train.data)
    assert np.array_equal(arrays.test_inputs.permute(0, 2, 3, 1), test.data)
    assert arrays.train_targets.tolist() == train.targets
    assert arrays.test_targets.tolist() == test.targets


@pytest.mark.parametrize("name", KINDS)
def test_checksums_are_those_that_torchvision_publishes(name: str) -> None:
    kind = KINDS[name]
    reader = torchvision_datasets.CIFAR10 if name == "cifar10" else torchvision_datasets.CIFAR100
    assert dict(reader.train_list) | dict(reader.test_list) == dict(kind.checksums)  # type: ignore[arg-type]
    assert kind.archive.checksums == (f"md5:{reader.tgz_md5}",)
    assert kind.archive.name == reader.filename
    assert (kind.folder, kind.meta_file) == (reader.base_folder, reader.meta["filename"])


def test_splits_and_normalisation(small: Path) -> None:
    data = registry.load("cifar10", root=small.parent)
    assert (len(data.train), len(data.validation), len(data.test)) == (900, 100, 200)
    assert data.validation.targets.bincount().tolist() == [10] * 10
    raw = Cifar10().read(small.parent).test_inputs[7].float() / 255
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2023, 0.1994, 0.2010])
    expected = (raw - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(data.test.sample(torch.tensor([7]), device=CPU)[0][0], expected)


def test_training_batches_are_augmented_and_validation_is_not(small: Path) -> None:
    data = registry.load("cifar10", root=small.parent)
    for split, differs in ((data.train, True), (data.validation, False), (data.test, False)):
        generators = [torch.Generator().manual_seed(1) for _ in range(2)]
        plain = torch.cat([x for x, _ in split.batches(100, device=CPU, order=generators[0])])
        augmented = torch.cat([x for x, _ in split.batches(100, device=CPU, order=generators[1], augment=True)])
        assert plain.shape == augmented.shape
        assert torch.equal(plain, augmented) != differs


class Touch:
    """Unpickling this makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self.path,))


def test_a_file_that_is_not_the_published_one_is_never_unpickled(small: Path) -> None:
    (small / "data_batch_2").write_bytes(pickle.dumps({"data": Touch(str(small / "touched"))}, protocol=2))
    with pytest.raises(UserError, match="data_batch_2 is not the published file, or is damaged: md5"):
        registry.load("cifar10", root=small.parent)
    assert not (small / "touched").exists()


def test_a_pickle_that_imports_is_refused_even_with_the_right_checksum(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small / "data_batch_2").write_bytes(pickle.dumps({"data": Touch(str(small / "touched"))}, protocol=2))
    accept(Cifar10, small, monkeypatch)
    with pytest.raises(UserError, match="data_batch_2 is not a CIFAR pickle: it would import"):
        registry.load("cifar10", root=small.parent)
    assert not (small / "touched").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a CIFAR pickle"),
        (pickled({"data": np.zeros((200, 3072), np.uint8), "labels": [0] * 200})[:-100], "is not a CIFAR pickle"),
        (pickle.dumps([1, 2], protocol=2), "it holds a list"),
        (pickled({"labels": [0]}), "no 'data' of uint8"),
        (pickled({"data": np.zeros((2, 1024), np.uint8), "labels": [0, 0]}), "no 'data' of uint8 in rows of 3072"),
        (pickled({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}), "no list 'labels' of 2 labels"),
        (pickled({"data": np.zeros((200, 3072), np.uint8), "labels": [10] * 200}), "label 10 is not in 0..9"),
        (pickled({"data": np.zeros((9, 3072), np.uint8), "labels": [0] * 9}), "809 training inputs"),
    ],
)
def test_bad_contents_are_one_clear_line(
    small: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    (small / "data_batch_1").write_bytes(content)
    accept(Cifar10, small, monkeypatch)
    with pytest.raises(UserError, match=message) as caught:
        registry.load("cifar10", root=small.parent)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(small: Path) -> None:
    (small / "test_batch").unlink()
    with pytest.raises(DataMissing, match=r"test_batch is missing in .*cifar-10-batches-py.*cifar-10-python.tar.gz"):
        registry.load("cifar10", root=small.parent)
