"""The handwritten digits that scikit-learn carries: real data without a download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..benchmark.errors import UserError
from .base import Arrays, ResidentDataSet
from .info import DataSetInfo, Normalisation, Report

TEST_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Digits(ResidentDataSet):
    """1,797 images of 8x8 pixels with values 0 to 16 (the test part of the UCI set).

    They come without a split: 500 images, stratified by class with a fixed seed, are the test set here.
    """

    facts: ClassVar[DataSetInfo] = DataSetInfo(
        name="digits",
        title="Digits (8x8)",
        input_shape=(1, 8, 8),
        num_classes=10,
        num_train=1297,
        num_test=500,
        licence="CC BY 4.0 (UCI), carried by scikit-learn under BSD-3-Clause",
        source="scikit-learn load_digits; UCI 80, Optical Recognition of Handwritten Digits, Alpaydin and Kaynak 1998",
    )

    def normalisation(self) -> Normalisation:
        """Mean and deviation of all 1,797 images."""
        return Normalisation(mean=(0.3053,), std=(0.3760,), maximum=16.0)

    def read(self, root: Path) -> Arrays:
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        from .stratify import choose

        images, targets = (np.asarray(array) for array in load_digits(return_X_y=True))
        test, train = choose(targets, self.facts.num_test, seed=TEST_SEED, keep_rest=True)
        inputs = torch.from_numpy(images.astype(np.uint8)).view(-1, *self.facts.input_shape)
        labels = torch.from_numpy(targets.astype(np.int64))
        return Arrays(inputs[train], labels[train], inputs[test], labels[test])

    def place(self, root: Path) -> Path:
        """The folder of the installed package."""
        import sklearn.datasets

        return Path(sklearn.datasets.__file__).parent

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """Nothing to fetch."""
        if archive is not None:
            raise UserError(f"digits takes no archive ({archive}): it comes with scikit-learn")
        return self.place(root)
