"""A file with a data set to start from."""

from __future__ import annotations

from string import Template

DATASET = Template('''\
"""$title: what the data show, in one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from prunebench.api import Arrays, Augmentation, DataSetInfo, Normalisation, Report, ResidentDataSet, UserError
from pydantic import Field

DATASETS = {"$name": "$class_name"}
SIDE, CLASSES = 8, 4


@dataclass(frozen=True, kw_only=True)
class $class_name(ResidentDataSet):
    """Stripes in four directions under noise. Say what a sample is, and where the data come from.

    Args:
        noise: deviation of the noise, in grey levels. An example: each field below is an option in study files.
    """

    # Listings, plans and tables show these; what is loaded is compared with them.
    facts: ClassVar[DataSetInfo] = DataSetInfo(
        name="$name",
        title="$title",
        input_shape=(1, SIDE, SIDE),
        num_classes=CLASSES,
        num_train=800,
        num_test=200,
        licence="none needed: computed",
        source="where the data are published",
    )

    noise: Annotated[float, Field(ge=0)] = 90.0

    def read(self, root: Path) -> Arrays:
        """All samples: images as uint8 (n, channels, height, width), other inputs as float32; targets int64 (n,).

        Real data are read from files below `self.place(root)`; raise prunebench.api.DataMissing naming a file that is
        not there. Validation is cut from the training samples by the base class, in the same way for every run.
        `Arrays` takes the person of each training sample as train_groups, for validation on whole persons.
        """
        random = np.random.default_rng(0)
        total = self.facts.num_train + self.facts.num_test
        targets = np.arange(total) % CLASSES
        rows, columns = np.mgrid[:SIDE, :SIDE]
        stripes = np.stack([rows % 4 < 2, columns % 4 < 2, (rows + columns) % 4 < 2, (rows - columns) % 4 < 2])
        images = 64 + 128 * stripes[targets] + self.noise * random.standard_normal((total, SIDE, SIDE))
        inputs = torch.from_numpy(images.clip(0, 255).astype(np.uint8)).unsqueeze(1)
        labels, cut = torch.from_numpy(targets.astype(np.int64)), self.facts.num_train
        return Arrays(inputs[:cut], labels[:cut], inputs[cut:], labels[cut:])

    def normalisation(self) -> Normalisation:
        """Of uint8 images: (value / 255 - mean) / std, for each channel. Without it inputs are float32 as they are."""
        return Normalisation(mean=(0.5,), std=(0.27,))

    def augmentation(self) -> Augmentation | None:
        """Of training batches: Augmentation(padding=4, flips=True) pads, crops and flips; None leaves them alone."""
        return None

    def place(self, root: Path) -> Path:
        """The folder of the data below the data root."""
        return root / "$name"

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """What `prunebench prepare` does: fetch the files, or unpack `archive`. Nothing is to be fetched here."""
        if archive is not None:
            raise UserError(f"$name takes no archive ({archive}): it is computed")
        return self.place(root)
''')
