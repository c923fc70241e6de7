"""Made-up data in the exact shape of another data set: smoke tests of a study without its data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ..benchmark.api.errors import UserError, unknown
from . import registry
from .parts.in_memory import Arrays, ResidentDataSet
from .parts.info import Augmentation, DataSetInfo, Normalisation, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import Field

COARSE = 4  # cells a side of a class's pattern: wide enough to survive a crop that is a few pixels off
CHUNK = 16  # samples made at a time, so that the float32 noise of a large set never exists as a whole
CONTRAST = 45.0  # grey levels per standard deviation: 127.5 is 2.8 deviations away


@dataclass(frozen=True, kw_only=True)
class Synthetic(ResidentDataSet):
    """Each class is one coarse random pattern; a sample is its class's pattern plus as much random noise.

    Args:
        like: Data set whose input shape, number of classes and crops and flips are taken.
        image_size: Height and width of images instead of those of `like`; 0 keeps them.
        num_classes: Number of classes instead of that of `like`; 0 keeps it.
        num_samples: Training samples, validation included; at least one a class.
        num_test: Test samples.
        seed: Of patterns and noise.
    """

    like: str = "digits"
    image_size: Annotated[int, Field(ge=0)] = 0
    num_classes: Annotated[int, Field(ge=0)] = 0
    num_samples: Annotated[int, Field(ge=1)] = 2000
    num_test: Annotated[int, Field(ge=1)] = 500
    seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        models = set(registry.DATASETS) - {"synthetic"}
        if self.like not in models:
            raise unknown("data set in option 'like'", self.like, models)
        if registry.is_text(self.like):
            raise UserError(f"like is {self.like!r}, which is a text; made-up data have one class for each sample")
        if self.num_classes == 1:
            raise UserError("num_classes is 1; it must be at least 2, or 0")
        if self.image_size and not self.is_image():
            raise UserError(f"image_size is {self.image_size}, but {self.like} holds no images")
        if self.num_samples < (least := self.describe().num_classes):
            raise UserError(f"num_samples is {self.num_samples}; it must be at least {least}, one of each class")

    def describe(self) -> DataSetInfo:
        model = registry.describe(self.like)
        return DataSetInfo(
            name="synthetic",
            title=f"Synthetic, like {model.title}",
            input_shape=(model.input_shape[0], *(self.image_size,) * 2) if self.image_size else model.input_shape,
            num_classes=self.num_classes or model.num_classes,
            num_train=self.num_samples,
            num_test=self.num_test,
            licence="none needed: computed",
            source="random numbers of numpy",
        )

    def is_image(self) -> bool:
        """Images are stored as uint8, anything else as float32 of mean 0 and variance 1."""
        return len(registry.describe(self.like).input_shape) == 3

    def normalisation(self) -> Normalisation | None:
        channels = self.describe().input_shape[0]
        mean, std = (0.5,) * channels, (CONTRAST / 255,) * channels
        return Normalisation(mean=mean, std=std) if self.is_image() else None

    def augmentation(self) -> Augmentation | None:
        model = registry.create(self.like)
        return model.augmentation() if isinstance(model, ResidentDataSet) else None

    def read(self, root: Path) -> Arrays:
        import numpy as np
        import torch

        info = self.describe()
        random = np.random.default_rng(self.seed)
        cells = random.standard_normal((info.num_classes, *info.input_shape[:-2], COARSE, COARSE), dtype=np.float32)
        targets = np.arange(self.num_samples + self.num_test) % info.num_classes
        inputs = np.concatenate(
            [
                self._with_noise(random, spread(cells[targets[start : start + CHUNK]], info.input_shape[-2:]))
                for start in range(0, len(targets), CHUNK)
            ]
        )
        x, y = torch.from_numpy(inputs), torch.from_numpy(targets.astype(np.int64))
        cut = self.num_samples
        return Arrays(x[:cut], y[:cut], x[cut:], y[cut:])

    def _with_noise(self, random: np.random.Generator, patterns: NDArray[np.float32]) -> NDArray:
        import numpy as np

        noisy = (patterns + random.standard_normal(patterns.shape, dtype=np.float32)) / math.sqrt(2)
        return (127.5 + CONTRAST * noisy).clip(0, 255).astype(np.uint8) if self.is_image() else noisy

    def place(self, root: Path) -> Path:
        """The data root, though nothing is read from it."""
        return root

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """Nothing to fetch."""
        if archive is not None:
            raise UserError(f"synthetic takes no archive ({archive}): it is computed")
        return self.place(root)


def spread(cells: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Each value of (n, ..., COARSE, COARSE) over a rectangle, so that the last two dimensions become `shape`."""
    import numpy as np

    rows, columns = (np.arange(length) * COARSE // length for length in shape)
    return cells[..., rows[:, None], columns[None, :]]
