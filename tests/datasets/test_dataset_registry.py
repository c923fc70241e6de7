"""The registry, the data roots, and the data sets that need no files."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from prunebench.benchmark.api.data import Data, Split
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.datasets import digits, registry
from prunebench.datasets.parts.roots import data_root
from sklearn.datasets import load_digits

CPU = torch.device("cpu")


def everything(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    return split.sample(torch.arange(len(split)), device=CPU)


def test_names_and_facts_need_no_torch() -> None:
    code = """
import sys
from prunebench.datasets import registry
for name in registry.dataset_names():
    info = registry.describe(name)
    assert info.name == name and info.title and info.licence and info.source and info.num_classes > 1, info
heavy = {"torch", "torchvision", "sklearn", "numpy", "PIL"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_folder_shadows_no_other_package() -> None:
    assert not Path(registry.__file__).with_name("__init__.py").exists()


def test_unknown_names_and_options() -> None:
    with pytest.raises(UserError, match="unknown data set 'digit'; did you mean 'digits'"):
        registry.load("digit")
    with pytest.raises(UserError, match="unknown option of data set 'digits' 'limits'; did you mean 'limit'"):
        registry.load("digits", limits=3)
    with pytest.raises(UserError, match="'like' 'cifar'"):
        registry.load("synthetic", like="cifar")


@pytest.mark.parametrize("validation", [1.0, -0.1, "0.1", True, float("nan")])
def test_validation_must_be_a_fraction(validation: float) -> None:
    with pytest.raises(UserError, match="validation is"):
        registry.load("digits", validation=validation)


@pytest.mark.parametrize("limit", [0, -5, 2.5, "10", True])
def test_limit_must_be_a_count(limit: object) -> None:
    with pytest.raises(UserError, match="limit is"):
        registry.load("digits", limit=limit)


def test_a_limit_without_effect_is_refused() -> None:
    with pytest.raises(UserError, match="limit is 1168; there are 1167 training samples"):
        registry.load("digits", limit=1168)


def test_root_is_argument_then_environment_then_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRUNEBENCH_DATA", raising=False)
    assert data_root() == Path.home() / ".cache" / "prunebench" / "data"
    monkeypatch.setenv("PRUNEBENCH_DATA", str(tmp_path / "variable"))
    assert data_root() == tmp_path / "variable"
    assert data_root(tmp_path / "argument") == tmp_path / "argument"


def test_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is not a folder"):
        registry.load("mnist", root=tmp_path / "file")


def test_missing_data_leave_with_exit_code_4(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="prunebench prepare mnist") as caught:
        registry.load("mnist", root=tmp_path)
    assert caught.value.exit_code == 4


def test_loading_opens_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("prunebench.datasets.fashion_mnist.FashionMnist.system_folders", ())
    for name in registry.dataset_names():
        if name in ("digits", "synthetic", "python-text"):
            registry.load(name, root=tmp_path)
        else:
            with pytest.raises(DataMissing):
                registry.load(name, root=tmp_path)


def overlap(data: Data) -> int:
    """Images that the three splits have in common, by their pixels."""
    sets = [{bytes(x.numpy().data) for x in everything(split)[0]} for split in (data.train, data.validation, data.test)]
    return len(sets[0] & sets[1]) + len(sets[0] & sets[2]) + len(sets[1] & sets[2])


def test_digits_splits() -> None:
    data = registry.load("digits")
    assert (len(data.train), len(data.validation), len(data.test)) == (1167, 130, 500)
    assert (data.input_shape, data.num_classes) == ((1, 8, 8), 10)
    assert data.test.targets.bincount().min() >= 48
    assert data.validation.targets.bincount().min() >= 12
    assert overlap(data) == 0
    inputs = torch.cat([everything(split)[0] for split in (data.train, data.validation, data.test)])
    assert abs(inputs.mean()) < 2e-4
    assert abs(inputs.std() - 1) < 2e-4


def test_digits_fingerprint_is_fixed() -> None:
    """A change of the data, of the order or of a split would orphan every stored result, so it must be deliberate."""
    assert registry.load("digits").fingerprint == DIGITS


DIGITS = "bb50dfd55a264c2595a3584d0d831c7ab4829bca7572735f42774992fa0472da"


@pytest.mark.parametrize("file", [digits.FILE, Path("moved.csv.gz")])
def test_digits_are_those_that_scikit_learn_reads(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "FILE", file)
    for ours, theirs in zip(digits.Digits().table(Path()), load_digits(return_X_y=True), strict=True):
        assert np.array_equal(ours, theirs)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype


def test_validation_does_not_depend_on_limit_and_limits_are_nested() -> None:
    whole, half, tenth = (registry.load("digits", limit=limit) for limit in (None, 580, 116))
    assert torch.equal(everything(whole.validation)[0], everything(tenth.validation)[0])
    assert (len(half.train), len(tenth.train)) == (580, 116)
    assert tenth.train.targets.bincount().min() >= 11
    pixels = [{bytes(x.numpy().data) for x in everything(data.train)[0]} for data in (whole, half, tenth)]
    assert pixels[2] < pixels[1] < pixels[0]


def test_no_validation_is_an_empty_split() -> None:
    data = registry.load("digits", validation=0.0)
    assert (len(data.train), len(data.validation)) == (1297, 0)
    assert [*data.validation.batches(10, device=CPU)] == []


def test_tiny_validation_has_every_class() -> None:
    assert registry.load("digits", validation=0.001).validation.targets.bincount().tolist() == [1] * 10


@pytest.mark.parametrize("like", sorted(set(registry.DATASETS) - {"synthetic", "imagenet", "python-text"}))
def test_synthetic_has_the_shape_of_its_model(like: str) -> None:
    model = registry.describe(like)
    data = registry.load("synthetic", like=like, num_samples=400, num_test=50, validation=0.25)
    assert (data.input_shape, data.num_classes) == (model.input_shape, model.num_classes)
    assert (len(data.train), len(data.validation), len(data.test)) == (300, 100, 50)
    inputs, targets = next(data.train.batches(300, device=CPU, order=torch.Generator().manual_seed(0), augment=True))
    assert inputs.shape == (300, *model.input_shape)
    assert inputs.dtype == torch.float32
    assert targets.dtype == torch.int64
    assert abs(inputs.mean()) < 0.4  # two classes have few cells to average over
    assert abs(inputs.std() - 1) < 0.2


def test_synthetic_in_another_size() -> None:
    options = {"like": "cifar100", "image_size": 8, "num_classes": 5, "num_samples": 60, "num_test": 10}
    data = registry.load("synthetic", **options)
    assert (data.input_shape, data.num_classes) == ((3, 8, 8), 5)
    assert everything(data.test)[0].shape == (10, 3, 8, 8)
    assert registry.describe("synthetic", **options).input_shape == (3, 8, 8)


def test_synthetic_depends_on_its_seed_only() -> None:
    prints = [registry.load("synthetic", seed=seed).fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_synthetic_can_be_learned() -> None:
    """Nearest class mean of the training samples, on test samples: far above the 10 % of chance."""
    data = registry.load("synthetic", validation=0)
    inputs, targets = (part.flatten(1) if part.ndim > 1 else part for part in everything(data.train))
    means = torch.stack([inputs[targets == label].mean(0) for label in range(10)])
    tests, answers = everything(data.test)
    assert (torch.cdist(tests.flatten(1), means).argmin(1) == answers).float().mean() > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 9}, "num_samples is 9; .* at least 10"),
        ({"num_test": 0}, "num_test is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"num_classes": 1}, "num_classes is 1; it must be at least 2"),
        ({"num_classes": 50, "num_samples": 49}, "num_samples is 49; .* at least 50"),
        ({"like": "har2", "image_size": 8}, "image_size is 8, but har2 holds no images"),
        ({"like": "python-text"}, "like is 'python-text', which is a text"),
    ],
)
def test_synthetic_refuses_impossible_numbers(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        registry.load("synthetic", **options)


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_sets_without_files_prepare_and_check(name: str, tmp_path: Path) -> None:
    assert registry.prepare(name, root=tmp_path) == registry.prepare(name, root=tmp_path)
    assert "10 classes" in registry.check(name, root=tmp_path)[1]
    with pytest.raises(UserError, match="takes no archive"):
        registry.prepare(name, root=tmp_path, archive=tmp_path / "digits.zip")


def test_a_fingerprint_holds_the_split() -> None:
    """The same digits, other samples for validation: results of both are not taken for results of the same data."""
    assert registry.load("digits", validation=0.2).fingerprint != registry.load("digits").fingerprint
