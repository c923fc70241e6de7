"""The handwritten digits that scikit-learn carries: real data without a download."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..benchmark.api.errors import DataMissing, UserError
from .parts.in_memory import Arrays, ResidentDataSet
from .parts.info import DataSetInfo, Normalisation, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEST_SEED = 0
FILE = Path("datasets", "data", "digits.csv.gz")
"""In the package's folder."""


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

        from .parts.stratify import choose

        images, targets = self.table(root)
        test, train = choose(targets, self.facts.num_test, seed=TEST_SEED, keep_rest=True)
        inputs = torch.from_numpy(images.astype(np.uint8)).view(-1, *self.facts.input_shape)
        labels = torch.from_numpy(targets)
        return Arrays(inputs[train], labels[train], inputs[test], labels[test])

    def table(self, root: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Pixels (1797, 64) and classes (1797,). From the package's file where it is where it has always been.

        Importing scikit-learn takes as long as a run of the demo, in every worker.
        """
        import numpy as np

        path = self.place(root) / FILE
        if not path.is_file():
            from sklearn.datasets import load_digits

            images, targets = load_digits(return_X_y=True)
            return np.asarray(images), np.asarray(targets)
        rows = np.loadtxt(path, delimiter=",")
        return rows[:, :-1], rows[:, -1].astype(np.int64)

    def place(self, root: Path) -> Path:
        """The folder of the installed package."""
        found = importlib.util.find_spec("sklearn")
        if found is None or found.origin is None:
            raise DataMissing("digits: scikit-learn, which carries them, is not installed")
        return Path(found.origin).parent

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """Nothing to fetch."""
        if archive is not None:
            raise UserError(f"digits takes no archive ({archive}): it comes with scikit-learn")
        return self.place(root)
