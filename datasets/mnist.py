"""MNIST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .parts.idx_images import IdxImages
from .parts.info import DataSetInfo, Normalisation


@dataclass(frozen=True, kw_only=True)
class Mnist(IdxImages):
    """Handwritten digits, 28x28, not augmented. LeCun et al., 1998."""

    facts: ClassVar[DataSetInfo] = DataSetInfo(
        name="mnist",
        title="MNIST",
        input_shape=(1, 28, 28),
        num_classes=10,
        num_train=60_000,
        num_test=10_000,
        licence="none stated by its authors; often given as CC BY-SA 3.0",
        source="http://yann.lecun.com/exdb/mnist/",
    )
    folder: ClassVar[str] = "MNIST"
    mirrors: ClassVar[tuple[str, ...]] = ("https://ossci-datasets.s3.amazonaws.com/mnist/",)
    checksums: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train-images-idx3-ubyte.gz": ("md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",),
        "train-labels-idx1-ubyte.gz": ("md5:d53e105ee54ea40749a09fcbcd1e9432",),
        "t10k-images-idx3-ubyte.gz": ("md5:9fb629c4189551a2d022fa330f9573f3",),
        "t10k-labels-idx1-ubyte.gz": ("md5:ec29112dd5afa0611ce80d1b7f02629c",),
    }

    def normalisation(self) -> Normalisation:
        """Mean and deviation of the training images."""
        return Normalisation(mean=(0.1307,), std=(0.3081,))
