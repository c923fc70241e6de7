"""HAR-2 from text files that the tests write in UCI's format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prunebench.benchmark.api.data import Split
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.datasets import registry
from prunebench.datasets.har2 import CHANNELS, FOLDER, Har2
from prunebench.datasets.parts.in_memory import cut, fingerprint

CPU = torch.device("cpu")
TRAIN, TEST = 60, 24
PERSONS = np.repeat([1, 3, 5, 6, 7, 8, 11, 14, 15, 16], 6)


def everything(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    return split.sample(torch.arange(len(split)), device=CPU)


def write_set(folder: Path) -> dict[str, np.ndarray]:
    """60 training windows of ten persons and 24 test windows; activities 1..6 in turn. Column 0 never varies."""
    random = np.random.default_rng(0)
    windows = {}
    for part, count in (("train", TRAIN), ("test", TEST)):
        (folder / part / "Inertial Signals").mkdir(parents=True)
        windows[part] = random.normal(1.0, 3.0, (count, 128, 9))
        windows[part][:, 0, 0] = 2.0
        for index, channel in enumerate(CHANNELS):
            path = folder / part / "Inertial Signals" / f"{channel}_{part}.txt"
            np.savetxt(path, windows[part][:, :, index], fmt=" % .7e", delimiter="")
        np.savetxt(folder / part / f"y_{part}.txt", np.arange(count) % 6 + 1, fmt="%d")
        persons = PERSONS if part == "train" else np.repeat([2, 4], 12)
        np.savetxt(folder / part / f"subject_{part}.txt", persons, fmt="%d")
    (folder / "README.txt").write_bytes("Università: any commercial use is prohibited".encode("latin-1"))
    return windows


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Har2, "facts", replace(Har2.facts, num_train=TRAIN, num_test=TEST))


@pytest.fixture
def small(tmp_path: Path, accepted: None) -> Path:
    write_set(tmp_path / FOLDER)
    return tmp_path


def test_channels_are_in_the_published_order() -> None:
    assert " ".join(CHANNELS) == (
        "body_acc_x body_acc_y body_acc_z body_gyro_x body_gyro_y body_gyro_z total_acc_x total_acc_y total_acc_z"
    )


@pytest.mark.usefixtures("accepted")
def test_every_column_is_standardised_by_the_training_set(tmp_path: Path) -> None:
    windows = write_set(tmp_path / FOLDER)
    data = registry.load("har2", root=tmp_path, validation=0)
    rounded = {part: values.astype(np.float32).astype(np.float64) for part, values in windows.items()}
    mean, std = rounded["train"].mean(axis=0), rounded["train"].std(axis=0)
    std[0, 0] = 1.0
    for split, part in ((data.train, "train"), (data.test, "test")):
        np.testing.assert_allclose(everything(split)[0], (rounded[part] - mean) / std, atol=2e-6)
    assert everything(data.test)[0][:, 0, 0].tolist() == [0.0] * TEST


def test_two_classes(small: Path) -> None:
    data = registry.load("har2", root=small, validation=0)
    # activities 1..6: walking, upstairs, downstairs, sitting, standing, laying
    assert data.train.targets[:6].tolist() == [1, 0, 1, 0, 1, 0]
    assert (data.num_classes, data.input_shape) == (2, (128, 9))


def test_validation_is_of_whole_persons(small: Path) -> None:
    data = registry.load("har2", root=small, validation=0.2)
    assert (len(data.train), len(data.validation)) == (48, 12)
    inputs = everything(registry.load("har2", root=small, validation=0).train)[0]
    where = [int(torch.nonzero((inputs == window).all(dim=(1, 2)))) for window in everything(data.validation)[0]]
    assert len(set(PERSONS[where])) == 2
    assert not set(PERSONS[where]) & set(np.delete(PERSONS, where))


def test_limit_takes_equally_of_both_classes(small: Path) -> None:
    data = registry.load("har2", root=small, validation=0.2, limit=10)
    assert data.train.targets.bincount().tolist() == [5, 5]


def test_fingerprint_is_of_what_the_files_hold(small: Path) -> None:
    """The fingerprint is not of standardised inputs: the last bits of a mean differ between processors."""
    before = registry.load("har2", root=small).fingerprint
    arrays = Har2().read(small)
    assert arrays.train_groups is not None
    splits = cut(arrays.train_targets.numpy(), 0.1, None, arrays.train_groups.numpy())
    assert before == fingerprint(arrays, *splits)
    path = small / FOLDER / "test" / "Inertial Signals" / "total_acc_z_test.txt"
    path.write_text(path.read_text().replace("1", "2", 1))
    assert registry.load("har2", root=small).fingerprint != before


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("train/Inertial Signals/body_acc_x_train.txt", lambda text: text[:-1000], "body_acc_x_train.txt is damaged"),
        ("train/Inertial Signals/body_gyro_y_train.txt", lambda text: "x" + text, "body_gyro_y_train.txt is damaged"),
        ("test/y_test.txt", lambda text: text.replace("6", "7"), "y_test.txt holds an activity that is not in 1..6"),
        (
            "train/y_train.txt",
            lambda text: text[:-2],
            "body_acc_x_train.txt has 60 lines, .*y_train.txt has 59",
        ),
        ("train/subject_train.txt", lambda text: text + "1\n", "subject_train.txt has 61 lines, .* has 60"),
        ("train/y_train.txt", lambda text: "", "y_train.txt is damaged: it is empty"),
    ],
)
def test_damaged_files_are_named(small: Path, name: str, change: object, message: str) -> None:
    path = small / FOLDER / name
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as caught:
        registry.load("har2", root=small)
    assert "\n" not in str(caught.value)


def test_signals_of_unequal_length_are_refused(small: Path) -> None:
    path = small / FOLDER / "train" / "Inertial Signals" / "body_gyro_y_train.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=r"body_gyro_y_train\.txt has 59 lines, .*y_train\.txt has 60"):
        registry.load("har2", root=small)


def test_missing_file_is_named(small: Path) -> None:
    (small / FOLDER / "test" / "subject_test.txt").unlink()
    with pytest.raises(DataMissing, match=r"test/subject_test\.txt is missing"):
        registry.load("har2", root=small)


def test_check_shows_both_licences(small: Path) -> None:
    licence = registry.check("har2", root=small)[-1]
    assert "CC BY 4.0" in licence
    assert "commercial use is prohibited" in licence
