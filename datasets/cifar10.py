"""CIFAR-10."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .parts.cifar import Cifar
from .parts.download import Remote
from .parts.info import DataSetInfo


@dataclass(frozen=True, kw_only=True)
class Cifar10(Cifar):
    """Ten kinds of animals and vehicles. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009."""

    facts: ClassVar[DataSetInfo] = DataSetInfo(
        name="cifar10",
        title="CIFAR-10",
        input_shape=(3, 32, 32),
        num_classes=10,
        num_train=50_000,
        num_test=10_000,
        licence="none stated by its authors; they ask to cite Krizhevsky, 2009",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
    )
    folder: ClassVar[str] = "cifar-10-batches-py"
    labels: ClassVar[str] = "labels"
    archive: ClassVar[Remote] = Remote(
        name="cifar-10-python.tar.gz",
        urls=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
        checksums=("md5:c58f30108f718f92721af3b95e74349a",),
    )
    train_files: ClassVar[tuple[str, ...]] = tuple(f"data_batch_{number}" for number in range(1, 6))
    test_files: ClassVar[tuple[str, ...]] = ("test_batch",)
    meta_file: ClassVar[str] = "batches.meta"
    checksums: ClassVar[Mapping[str, str]] = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    }
