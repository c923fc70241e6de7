"""HAR-2: human activity recognition from a smartphone's sensors, made binary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..benchmark.api.errors import DataDamaged
from .parts.download import Remote, download, take
from .parts.in_memory import Arrays, ResidentDataSet, whole_fingerprint
from .parts.info import DataSetInfo, Report
from .parts.install import DOWNLOADS, installing, is_ready, put, unpack_zip, write_manifest
from .parts.roots import missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

FOLDER = "UCI HAR Dataset"
STEPS = 128
CHANNELS = tuple(f"{signal}_{axis}" for signal in ("body_acc", "body_gyro", "total_acc") for axis in "xyz")
NUM_ACTIVITIES = 6  # 1 walking, 2 walking upstairs, 3 walking downstairs, 4 sitting, 5 standing, 6 laying
FIRST_CLASS = (2, 4, 6)  # class 0; walking, walking downstairs and standing are class 1
FEWEST_DEVIATIONS = 1e-6


def _files(part: str) -> list[str]:
    """Relative paths of the nine signals, the labels and the persons of "train" or "test"."""
    signals = [f"{part}/Inertial Signals/{channel}_{part}.txt" for channel in CHANNELS]
    return [*signals, f"{part}/y_{part}.txt", f"{part}/subject_{part}.txt"]


@dataclass(frozen=True, kw_only=True)
class Har2(ResidentDataSet):
    """Windows of 128 steps of nine signals; sitting, laying and walking upstairs against the other three activities.

    Each of the 128 x 9 columns is standardised by its mean and deviation over the published training set, as in the
    code of FastGRNN (Kusupati et al., 2018, arXiv:1901.02358); columns that do not vary are only centred. The
    published split is by person, and so is validation: whole persons, about the fraction asked for.
    """

    cuts_by_person: ClassVar[bool] = True
    facts: ClassVar[DataSetInfo] = DataSetInfo(
        name="har2",
        title="HAR-2",
        input_shape=(STEPS, len(CHANNELS)),
        num_classes=2,
        num_train=7352,
        num_test=2947,
        licence="CC BY 4.0 by its page at UCI; the README inside says: any commercial use is prohibited",
        source="https://doi.org/10.24432/C54S4K; Anguita et al., ESANN 2013",
    )
    archive: ClassVar[Remote] = Remote(
        name="human+activity+recognition+using+smartphones.zip",
        urls=(
            "https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+smartphones.zip",
            "https://archive.ics.uci.edu/ml/machine-learning-databases/00240/UCI%20HAR%20Dataset.zip",
        ),
        # the zip of today, and the one inside it, which was the published file before
        checksums=(
            "sha256:c00b803081a5c797cd5e4b83700a9810b38d53d9d84e01917e090e1fdbc81031",
            "sha256:2045e435c955214b38145fb5fa00776c72814f01b203fec405152dac7d5bfeb0",
        ),
    )

    def place(self, root: Path) -> Path:
        return root / FOLDER

    def read(self, root: Path) -> Arrays:
        train, train_labels, persons = self._read(root, "train")
        test, test_labels, _ = self._read(root, "test")
        return Arrays(train, train_labels, test, test_labels, train_groups=persons)

    def _read(self, root: Path, part: str) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 128, 9) float32 as measured, (n,) classes, (n,) persons."""
        import numpy as np
        import torch

        folder = self.place(root)
        for name in _files(part):
            if not (folder / name).is_file():
                raise missing(self.facts.name, name, folder, "ZIP")
        *signals, labels, persons = (folder / name for name in _files(part))
        tables = [read_numbers(path, STEPS) for path in signals]
        activities, who = (read_numbers(path, 1).astype(np.int64) for path in (labels, persons))
        for path, table in zip((*signals, persons), (*tables, who), strict=True):
            if len(table) != len(activities):
                raise DataDamaged(f"{path} has {len(table)} lines, {labels} has {len(activities)}")
        if activities.min() < 1 or activities.max() > NUM_ACTIVITIES:
            raise DataDamaged(f"{labels} holds an activity that is not in 1..{NUM_ACTIVITIES}")
        classes = (~np.isin(activities[:, 0], FIRST_CLASS)).astype(np.int64)
        windows = np.stack(tables, axis=2)
        return torch.from_numpy(windows), torch.from_numpy(classes), torch.from_numpy(who[:, 0])

    def standardised(self, arrays: Arrays) -> Arrays:
        train = arrays.train_inputs.double()
        mean, std = train.mean(dim=0), train.std(dim=0, correction=0)
        std[std < FEWEST_DEVIATIONS] = 1.0
        return replace(
            arrays,
            train_inputs=((train - mean) / std).float(),
            test_inputs=((arrays.test_inputs.double() - mean) / std).float(),
        )

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """Unpack what is read, and the README with the terms of use, from the published zip."""
        if is_ready(lambda: self.verified(root)):
            return self.place(root)
        report(f"{self.facts.title}: {self.facts.licence}")
        name, files = self.facts.name, [*_files("train"), *_files("test"), "README.txt"]
        with installing(name, root) as staging:
            path = take(archive, self.archive) if archive else download(name, self.archive, root / DOWNLOADS, report)
            put(unpack_zip(path, {f"{FOLDER}/{file}": file for file in files}, staging), self.place(root))
            source = str(archive or self.archive.urls[0])
            write_manifest(self.place(root), name, source, whole_fingerprint(self.verified(root)))
            if archive is None:
                path.unlink()
        return self.place(root)


def read_numbers(path: Path, columns: int) -> NDArray[np.float32]:
    """(lines, columns) of a text file of numbers separated by blanks."""
    import numpy as np

    if path.stat().st_size == 0:
        raise DataDamaged(f"{path} is damaged: it is empty")
    try:
        values = np.loadtxt(path, dtype=np.float32, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataDamaged(f"{path} is damaged: {' '.join(str(error).split())}") from error
    if values.shape[1:] != (columns,) or not np.isfinite(values).all():
        raise DataDamaged(f"{path} is damaged: {values.shape[0]} lines, not all of {columns} finite numbers")
    return values
