"""`arrays`: the user's own inputs and classes in an .npz file, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prunebench.benchmark.api.errors import DataDamaged, DataMissing, UserError
from prunebench.datasets import registry

CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNEBENCH_DATA", str(tmp_path))
    return tmp_path


def images() -> dict[str, Any]:
    """Six training and two test images of 2 x 3 pixels and one channel, of three classes."""
    return {
        "train_inputs": np.arange(36, dtype=np.uint8).reshape(6, 2, 3, 1),
        "train_targets": np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8),
        "test_inputs": np.arange(12, dtype=np.uint8).reshape(2, 2, 3, 1),
        "test_targets": np.array([2, 0]),
    }


def signals() -> dict[str, Any]:
    """Windows of four steps of two signals, by three persons."""
    random = np.random.default_rng(0)
    return {
        "train_inputs": random.standard_normal((9, 4, 2)),
        "train_targets": np.array([0, 1, 0] * 3, dtype=np.int32),
        "test_inputs": random.standard_normal((2, 4, 2)),
        "test_targets": np.array([1, 0]),
        "train_groups": np.repeat([3, 5, 8], [4, 3, 2]),
    }


def load(root: Path, arrays: dict[str, Any], **options: Any) -> Any:
    np.savez(root / "data.npz", **arrays)
    return registry.load("arrays", path="data.npz", **{"validation": 0, **options})


def test_images_are_put_channels_first_and_normalised(root: Path) -> None:
    coloured = {**images(), "train_inputs": np.arange(108, dtype=np.uint8).reshape(6, 2, 3, 3),
                "test_inputs": np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3)}  # fmt: skip
    data = load(root, coloured)
    assert (data.input_shape, data.num_classes) == ((3, 2, 3), 3)
    inputs, targets = data.train.sample(torch.arange(6), device=CPU)
    assert targets.tolist() == [0, 1, 2, 0, 1, 2]
    red = np.arange(0, 108, 3) / 255
    expected = (coloured["train_inputs"][0, :, :, 0] / 255 - red.mean()) / red.std()
    assert inputs[0, 0].numpy() == pytest.approx(expected, abs=1e-6)
    assert data.facts["normalisation"]["mean"][0] == pytest.approx(red.mean())


def test_floats_are_taken_as_they_are(root: Path) -> None:
    data = load(root, signals())
    assert (data.input_shape, data.num_classes) == ((4, 2), 2)
    inputs, targets = data.train.sample(torch.arange(9), device=CPU)
    assert np.array_equal(inputs.numpy(), signals()["train_inputs"].astype(np.float32))
    assert targets.dtype == torch.int64
    assert data.facts["normalisation"] is None


def test_groups_are_held_out_whole(root: Path) -> None:
    data = load(root, signals(), validation=0.34)
    sizes = (len(data.train), len(data.validation))
    assert sizes in ((5, 4), (6, 3), (7, 2))
    assert registry.train_size("arrays", 0.34, path="data.npz") == sizes[0]
    held_out = {bytes(x.numpy().data) for x in data.validation.sample(torch.arange(sizes[1]), device=CPU)[0]}
    own = signals()
    persons = {own["train_groups"][i] for i in range(9) if bytes(own["train_inputs"][i].astype(np.float32)) in held_out}
    assert len(persons) == 1


def test_compressed_files_and_other_orders_are_the_same_data(root: Path) -> None:
    first = load(root, images()).fingerprint
    shuffled = {key: np.asfortranarray(images()[key]) for key in reversed(images())}
    np.savez_compressed(root / "data.npz", **shuffled)
    assert registry.load("arrays", path="data.npz", validation=0).fingerprint == first


def test_described_by_headers(root: Path) -> None:
    np.savez(root / "data.npz", **images())
    info = registry.describe("arrays", path="data.npz", title="Mine")
    assert (info.title, info.input_shape, info.num_classes, info.num_train, info.num_test) == (
        "Mine",
        (1, 2, 3),
        3,
        6,
        2,
    )
    assert registry.train_size("arrays", 0.5, path="data.npz") == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_targets": None}, "lacks test_targets; keys are train_inputs"),
        ({"validation_inputs": np.zeros(3)}, "holds validation_inputs, which is not read; known: train_inputs"),
        ({"train_inputs": np.zeros((6, 2, 3, 1), int)}, "train_inputs are int64; they must be uint8 images or floats"),
        (
            {"train_inputs": np.zeros((6, 2, 3), np.uint8)},
            r"uint8 \(6, 2, 3\); images are \(n, height, width, channels",
        ),
        ({"train_inputs": np.zeros(6)}, r"float64 \(6,\); they must be \(n, ...\)"),
        ({"train_inputs": np.zeros((0, 2, 3, 1), np.uint8)}, "not empty"),
        ({"train_inputs": np.array([None] * 6)}, "train_inputs holds Python objects, which are never unpickled"),
        (
            {"test_inputs": np.zeros((2, 2, 4, 1), np.uint8)},
            r"train_inputs are uint8 \(6, 2, 3, 1\), test_inputs uint8",
        ),
        ({"test_inputs": np.zeros((2, 2, 3, 1))}, "train_inputs are uint8 .* test_inputs float64"),
        ({"train_targets": np.zeros(6)}, "train_targets are float64; they must be whole numbers"),
        ({"train_targets": np.zeros(5, int)}, r"train_targets have shape \(5,\); there are 6 train_inputs"),
        ({"test_targets": np.zeros((2, 1), int)}, r"test_targets have shape \(2, 1\); there are 2"),
        ({"train_groups": np.zeros(6)}, "train_groups are float64"),
        ({"train_targets": np.array([0, 1, 3, 0, 1, 3])}, "train_targets go to 3 but none is of class 2"),
        ({"train_targets": np.array([0, 1, -1, 0, 1, 2])}, "train_targets hold -1; classes are numbered from 0"),
        ({"train_targets": np.zeros(6, int)}, "train_targets hold one class"),
        ({"train_targets": np.array([9] * 6, "M8[s]")}, "train_targets are datetime64"),
    ],
)
def test_arrays_that_do_not_fit(changes: dict, message: str, root: Path) -> None:
    """`plan` reports it from headers and targets alone."""
    arrays = {key: value for key, value in {**images(), **changes}.items() if value is not None}
    np.savez(root / "data.npz", **arrays)
    with pytest.raises(DataDamaged, match=message) as caught:
        registry.describe("arrays", path="data.npz")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("label", [-1, 3])
def test_test_labels_outside(label: int, root: Path) -> None:
    with pytest.raises(UserError, match=f"arrays: test label {label} is not in 0..2"):
        load(root, {**images(), "test_targets": np.array([0, label])})


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_no_float32(value: float, root: Path) -> None:
    arrays = signals()
    arrays["train_inputs"][7, 1, 1] = value
    with pytest.raises(DataDamaged, match="train_inputs holds NaN or infinity in 1 samples, first in 7"):
        load(root, arrays)


def test_one_sample_of_a_class_cannot_be_cut(root: Path) -> None:
    arrays = {**images(), "train_targets": np.array([0, 1, 0, 0, 1, 2])}
    assert len(load(root, arrays).train) == 6
    with pytest.raises(DataDamaged, match="only one training sample of class 2; training and validation"):
        registry.load("arrays", path="data.npz", validation=0.1)


@pytest.mark.parametrize("how", ["cut", "flipped", "text", "folder"])
def test_damaged_files(how: str, root: Path) -> None:
    path = root / "data.npz"
    np.savez(path, **images())
    content = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(content[:-100])
    elif how == "flipped":
        place = content.index(images()["train_inputs"].tobytes())
        content[place] ^= 1
        path.write_bytes(content)
    elif how == "text":
        path.write_text("no zip")
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(DataDamaged, match=r"data.npz cannot be read as an .npz file: \w+") as caught:
        registry.load("arrays", path="data.npz")
    assert "\n" not in str(caught.value)


def test_missing_file_and_options(root: Path) -> None:
    with pytest.raises(DataMissing, match="does not exist; option path"):
        registry.describe("arrays", path="data.npz")
    with pytest.raises(UserError, match="unknown option of data set 'arrays' 'size'"):
        registry.describe("arrays", path="data.npz", size=3)
    np.savez(root / "data.npz", **signals())
    with pytest.raises(UserError, match=r"augment crops and flips uint8 images; data\.npz holds other inputs"):
        registry.describe("arrays", path="data.npz", augment=True)
