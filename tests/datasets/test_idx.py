"""MNIST and Fashion-MNIST from idx files that the tests write, and from Debian's where they are installed."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.datasets import registry
from prunebench.datasets.fashion_mnist import FashionMnist
from prunebench.datasets.mnist import Mnist
from prunebench.datasets.parts.idx import read_idx
from torchvision.datasets import mnist as torchvision_mnist

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TRAIN, TEST = 60, 20


def idx_bytes(array: np.ndarray) -> bytes:
    """The idx format: two zero bytes, the type (8 = unsigned byte), the number of dimensions, sizes, data."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_set(folder: Path, *, compress: bool = True) -> dict[str, np.ndarray]:
    """The four files with 60 + 20 random images; labels go through the ten classes in turn."""
    random = np.random.default_rng(0)
    arrays = {}
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        arrays[f"{part}-images-idx3-ubyte"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for name, array in arrays.items():
        content = idx_bytes(array)
        path = folder / (f"{name}.gz" if compress else name)
        path.write_bytes(gzip.compress(content, mtime=0) if compress else content)
    return arrays


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept 60 + 20 images, and do not look outside the test's folder."""
    for kind in (Mnist, FashionMnist):
        monkeypatch.setattr(kind, "facts", replace(kind.facts, num_train=TRAIN, num_test=TEST))
    monkeypatch.setattr(FashionMnist, "system_folders", ())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
@pytest.mark.parametrize("compress", [True, False])
def test_reads_torchvision_s_layout(tmp_path: Path, name: str, folder: str, compress: bool) -> None:
    arrays = write_set(tmp_path / folder / "raw", compress=compress)
    data = registry.load(name, root=tmp_path, validation=0.25)
    assert (len(data.train), len(data.validation), len(data.test)) == (45, 15, 20)
    inputs, targets = data.test.sample(torch.arange(20), device=torch.device("cpu"))
    mean, std = (0.1307, 0.3081) if name == "mnist" else (0.2860, 0.3530)
    expected = (arrays["t10k-images-idx3-ubyte"].astype(np.float32) / 255 - mean) / std
    assert inputs.shape == (20, 1, 28, 28)
    np.testing.assert_allclose(inputs[:, 0], expected, atol=1e-6)
    assert targets.tolist() == arrays["t10k-labels-idx1-ubyte"].tolist()


@pytest.mark.usefixtures("small")
def test_compressed_and_plain_files_have_the_same_fingerprint(tmp_path: Path) -> None:
    write_set(tmp_path / "plain" / "MNIST" / "raw", compress=False)
    write_set(tmp_path / "packed" / "MNIST" / "raw", compress=True)
    plain, packed = (registry.load("mnist", root=tmp_path / kind) for kind in ("plain", "packed"))
    assert plain.fingerprint == packed.fingerprint
    assert plain.fingerprint != registry.load("mnist", root=tmp_path / "plain", validation=0.2).fingerprint
    assert plain.fingerprint != registry.load("mnist", root=tmp_path / "plain", limit=20).fingerprint


@pytest.mark.usefixtures("small")
def test_finds_the_system_s_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "system")
    monkeypatch.setattr(FashionMnist, "system_folders", (tmp_path / "system",))
    assert len(registry.load("fashion_mnist", root=tmp_path / "empty", validation=0).train) == TRAIN


def test_reader_agrees_with_torchvision_s(tmp_path: Path) -> None:
    write_set(tmp_path, compress=False)
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    expected = torchvision_mnist.read_image_file(str(images))
    assert torch.equal(torch.tensor(read_idx(images, dimensions=3)), expected)
    expected = torchvision_mnist.read_label_file(str(labels))
    assert torch.equal(torch.tensor(read_idx(labels, dimensions=1)).long(), expected)


@pytest.mark.usefixtures("small")
def test_missing_file_is_named_with_the_place_and_the_command(tmp_path: Path) -> None:
    write_set(tmp_path / "FashionMNIST" / "raw")
    (tmp_path / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataMissing) as caught:
        registry.load("fashion_mnist", root=tmp_path)
    message = str(caught.value)
    assert "t10k-labels-idx1-ubyte(.gz) is missing in" in message
    assert str(tmp_path / "FashionMNIST" / "raw") in message
    assert "`prunebench prepare fashion_mnist`" in message
    assert "--from" in message


def damage(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("train-images-idx3-ubyte.gz", lambda content: content[: len(content) // 2], "is truncated or damaged"),
        ("train-images-idx3-ubyte.gz", lambda content: b"<html>404</html>", "is truncated or damaged"),
        (
            "train-images-idx3-ubyte.gz",
            lambda content: content[:300] + bytes([content[300] ^ 255]) + content[301:],
            "is truncated or damaged",
        ),
        (
            "train-images-idx3-ubyte.gz",
            lambda content: gzip.compress(gzip.decompress(content)[:-5]),
            "is damaged: 47035 bytes of data where its header promises 47040",
        ),
        (
            "train-images-idx3-ubyte.gz",
            lambda content: gzip.compress(idx_bytes(np.zeros(60, dtype=np.uint8))),
            "is not an idx file of bytes in 3 dimensions",
        ),
        ("train-images-idx3-ubyte.gz", lambda content: gzip.compress(b""), "is not an idx file"),
        (
            "train-labels-idx1-ubyte.gz",
            lambda content: gzip.compress(idx_bytes(np.full(60, 11, dtype=np.uint8))),
            "training label 11 is not in 0..9",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            lambda content: gzip.compress(idx_bytes((np.arange(60) % 9).astype(np.uint8))),
            "training labels of 9 classes, not 10",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            lambda content: gzip.compress(idx_bytes(np.zeros(19, dtype=np.uint8))),
            "20 test inputs and 19 labels; both must be 20",
        ),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, name: str, change: object, message: str) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_set(raw)
    damage(raw / name, change((raw / name).read_bytes()))  # type: ignore[operator]
    with pytest.raises(UserError) as caught:
        registry.load("mnist", root=tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("small")
def test_check_counts(tmp_path: Path) -> None:
    write_set(tmp_path / "MNIST" / "raw")
    lines = registry.check("mnist", root=tmp_path)
    assert lines[0] == "mnist: 60 training and 20 test samples of shape 1x28x28"
    assert lines[1] == "mnist: 10 classes, 6 to 6 training samples each"


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_debian_s_fashion_mnist(tmp_path: Path) -> None:
    data = registry.load("fashion_mnist", root=tmp_path, validation=0)
    assert (len(data.train), len(data.validation), len(data.test)) == (60_000, 0, 10_000)
    assert data.test.targets[:8].tolist() == [9, 2, 1, 1, 6, 1, 4, 6]
    inputs, _ = next(data.train.batches(60_000, device=torch.device("cpu")))
    assert abs(inputs.mean()) < 1e-3
    assert abs(inputs.std() - 1) < 1e-3
