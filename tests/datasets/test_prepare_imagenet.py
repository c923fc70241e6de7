"""Preparing ImageNet from small archives in the format of the challenge, and from class folders."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.datasets import registry
from prunebench.datasets.imagenet import ImageNet
from test_imagenet import CLASSES, write_folders, write_image
from torchvision.datasets import imagenet as reader

TRAIN, TEST = 2, 6  # training images of a class, test images in all
ANSWERS = [3, 1, 2, 2, 3, 1]  # the ILSVRC id of each validation image


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def jpeg(folder: Path, seed: int) -> bytes:
    write_image(folder / "image.JPEG", seed)
    return (folder / "image.JPEG").read_bytes()


def write_archives(folder: Path, scratch: Path) -> None:
    """Training images in a tar of tars, validation images in a flat tar, classes and answers in the devkit."""
    folder.mkdir()
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for label, name in enumerate(CLASSES):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for index in range(TRAIN):
                    add(tar, f"{name}_{index}.JPEG", jpeg(scratch, 10 * label + index))
            add(outer, f"{name}.tar", inner.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as tar:
        for index in range(TEST):
            add(tar, f"ILSVRC2012_val_{index + 1:08}.JPEG", jpeg(scratch, 50 + index))
    # the last row is an inner node of WordNet: it has children, and is no class
    rows = [(index + 1, name, f"fish {index}, swimmer", "", 0) for index, name in enumerate(CLASSES)]
    rows.append((1001, "n99999999", "animal", "", 3))
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    scipy.io.savemat(scratch / "meta.mat", {"synsets": np.array(rows, dtype=kinds)})
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        add(tar, "ILSVRC2012_devkit_t12/data/meta.mat", (scratch / "meta.mat").read_bytes())
        answers = "".join(f"{answer}\n" for answer in ANSWERS).encode()
        add(tar, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", answers)


def accept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept the archives in `folder` as the published ones."""
    for part, (name, _) in [*reader.ARCHIVE_META.items()]:
        digest = hashlib.md5((folder / name).read_bytes()).hexdigest()
        monkeypatch.setitem(reader.ARCHIVE_META, part, (name, digest))


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "scratch").mkdir()
    write_archives(tmp_path / "archives", tmp_path / "scratch")
    accept(tmp_path / "archives", monkeypatch)
    facts = replace(ImageNet.facts, num_classes=3, num_train=3 * TRAIN, num_test=TEST)
    monkeypatch.setattr(ImageNet, "facts", facts)
    monkeypatch.setenv("PRUNEBENCH_WORKERS", "0")
    return tmp_path / "archives"


def test_archives_are_unpacked_and_sorted(archives: Path, tmp_path: Path) -> None:
    root, lines = tmp_path / "data", []
    place = registry.prepare("imagenet", root=root, archive=archives, report=lines.append)
    assert place == root / "imagenet"
    assert len(lines) == 3
    for index, answer in enumerate(ANSWERS):
        assert (place / "val" / CLASSES[answer - 1] / f"ILSVRC2012_val_{index + 1:08}.JPEG").is_file()
    data = registry.load("imagenet", root=root, validation=0)
    assert data.train.targets.tolist() == [0, 0, 1, 1, 2, 2]
    assert [path.name for path in root.iterdir()] == ["imagenet"]
    assert registry.check("imagenet", root=root)[2].endswith("as prepared")
    assert registry.prepare("imagenet", root=root) == place
    (place / "val" / CLASSES[0] / "ILSVRC2012_val_00000002.JPEG").rename(place / "val" / CLASSES[0] / "other.JPEG")
    with pytest.raises(UserError, match="has changed since it was prepared"):
        registry.check("imagenet", root=root)


@pytest.mark.parametrize("part", ["train", "val", "devkit"])
def test_a_truncated_archive_is_named_and_leaves_nothing(archives: Path, tmp_path: Path, part: str) -> None:
    path = archives / reader.ARCHIVE_META[part][0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=rf"{path.name} is truncated or not the published file"):
        registry.prepare("imagenet", root=tmp_path / "data", archive=archives)
    assert [*(tmp_path / "data").iterdir()] == []


def test_an_archive_that_cannot_be_unpacked_leaves_nothing(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (archives / "ILSVRC2012_img_train.tar").write_bytes(b"not a tar" * 200)
    accept(archives, monkeypatch)
    with pytest.raises(UserError, match=r"ILSVRC2012_img_train\.tar cannot be unpacked"):
        registry.prepare("imagenet", root=tmp_path / "data", archive=archives)
    assert [*(tmp_path / "data").iterdir()] == []


def test_a_missing_archive_is_named(archives: Path, tmp_path: Path) -> None:
    (archives / "ILSVRC2012_img_val.tar").unlink()
    with pytest.raises(DataMissing, match=r"ILSVRC2012_img_val\.tar is missing in"):
        registry.prepare("imagenet", root=tmp_path / "data", archive=archives)


@pytest.mark.usefixtures("archives")
def test_there_is_no_download(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"account.*prunebench prepare imagenet --from FOLDER"):
        registry.prepare("imagenet", root=tmp_path / "data")
    with pytest.raises(UserError, match="is not a folder"):
        registry.prepare("imagenet", root=tmp_path / "data", archive=tmp_path / "imagenet.zip")


def test_class_folders_are_linked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = write_folders(tmp_path / "shared" / "ilsvrc")
    monkeypatch.setattr(ImageNet, "facts", replace(ImageNet.facts, num_classes=3, num_train=24, num_test=9))
    root = tmp_path / "data"
    place = registry.prepare("imagenet", root=root, archive=copy)
    assert place.is_symlink()
    assert place.resolve() == copy
    assert len(registry.load("imagenet", root=root, validation=0).train) == 24


def test_wrong_class_folders_are_not_linked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = write_folders(tmp_path / "shared" / "ilsvrc")
    monkeypatch.setattr(ImageNet, "facts", replace(ImageNet.facts, num_classes=3, num_train=25, num_test=9))
    with pytest.raises(UserError, match="train has 24 images, not 25"):
        registry.prepare("imagenet", root=tmp_path / "data", archive=copy)
    assert [*(tmp_path / "data").iterdir()] == []


def test_something_in_the_way_is_not_removed(archives: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "imagenet" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match="imagenet is there, and is not whole"):
        registry.prepare("imagenet", root=tmp_path / "data", archive=archives)
    assert (tmp_path / "data" / "imagenet" / "train").is_dir()
