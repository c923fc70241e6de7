"""Fashion-MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .idx_images import IdxImages
from .info import DataSetInfo, Normalisation


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
    # where Debian's package dataset-fashion-mnist puts the files
    system_folders: ClassVar[tuple[Path, ...]] = (Path("/usr/share/datasets/fashion-mnist"),)

    def normalisation(self) -> Normalisation:
        """Mean and deviation of the training images."""
        return Normalisation(mean=(0.2860,), std=(0.3530,))
