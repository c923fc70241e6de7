"""Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .parts.idx_images import IdxImages
from .parts.info import DataSetInfo, Normalisation


@dataclass(frozen=True, kw_only=True)
class FashionMnist(IdxImages):
    """Grey images of clothing, 28x28, not augmented. Xiao et al., 2017 (arXiv:1708.07747)."""

    facts: ClassVar[DataSetInfo] = DataSetInfo(
        name="fashion_mnist",
        title="Fashion-MNIST",
        input_shape=(1, 28, 28),
        num_classes=10,
        num_train=60_000,
        num_test=10_000,
        licence="MIT",
        source="https://github.com/zalandoresearch/fashion-mnist",
    )
    folder: ClassVar[str] = "FashionMNIST"
    mirrors: ClassVar[tuple[str, ...]] = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    # the authors' files, and Debian's, which differ in the gzip header only (name and date are left out)
    checksums: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train-images-idx3-ubyte.gz": ("md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d", "md5:cf8536b0aa1a6ac5fa3f23001093305c"),
        "train-labels-idx1-ubyte.gz": ("md5:25c81989df183df01b3e8a0aad5dffbe", "md5:10bea18fdb374794d4bb42e356e600c9"),
        "t10k-images-idx3-ubyte.gz": ("md5:bef4ecab320f06d8554ea6380940ec79", "md5:f78720b4224f21cce2f2ccf2d7a94c9a"),
        "t10k-labels-idx1-ubyte.gz": ("md5:bb300cfdad3c16e7a12a480ee83cd310", "md5:0d30e22e447f3c33dab9ed536400ac01"),
    }
    # where Debian's package dataset-fashion-mnist puts the files
    system_folders: ClassVar[tuple[Path, ...]] = (Path("/usr/share/datasets/fashion-mnist"),)

    def normalisation(self) -> Normalisation:
        """Mean and deviation of the training images."""
        return Normalisation(mean=(0.2860,), std=(0.3530,))
