"""CIFAR-100."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .parts.cifar import Cifar
from .parts.download import Remote
from .parts.info import DataSetInfo


@dataclass(frozen=True, kw_only=True)
class Cifar100(Cifar):
    """The hundred fine classes; normalised as CIFAR-10, as the recipes of this field do. Krizhevsky, 2009."""

    facts: ClassVar[DataSetInfo] = DataSetInfo(
        name="cifar100",
        title="CIFAR-100",
        input_shape=(3, 32, 32),
        num_classes=100,
        num_train=50_000,
        num_test=10_000,
        licence="none stated by its authors; they ask to cite Krizhevsky, 2009",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
    )
    folder: ClassVar[str] = "cifar-100-python"
    labels: ClassVar[str] = "fine_labels"
    archive: ClassVar[Remote] = Remote(
        name="cifar-100-python.tar.gz",
        urls=("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
        checksums=("md5:eb9058c3a382ffc7106e4002c42a8d85",),
    )
    train_files: ClassVar[tuple[str, ...]] = ("train",)
    test_files: ClassVar[tuple[str, ...]] = ("test",)
    meta_file: ClassVar[str] = "meta"
    checksums: ClassVar[Mapping[str, str]] = {
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    }
