"""MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .idx_images import IdxImages
from .info import DataSetInfo, Normalisation


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

    def normalisation(self) -> Normalisation:
        """Mean and deviation of the training images."""
        return Normalisation(mean=(0.1307,), std=(0.3081,))
