"""Base class of the user's own data sets: a path under the data root, and facts read from the files."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from ...benchmark.api.errors import DataDamaged, DataMissing, UserError
from .in_memory import Arrays, ResidentDataSet, whole_fingerprint
from .info import Augmentation, DataSetInfo, Normalisation, Report
from .roots import data_root

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

PADDING = 4  # pixels
FEWEST_DEVIATIONS = 1e-6
MOST_NAMED = 10
"""Problems that one message names; it counts the others."""


@dataclass(frozen=True, kw_only=True)
class OwnData(ResidentDataSet):
    """Unpublished files: shape, classes and sizes are read from them whenever they are needed.

    Args:
        path: Relative to the data root, which is therefore no part of a run's id: data may move as a whole.
        title: For captions; no part of a run's id.
        augment: Reflect-pad training images by 4 pixels, crop and flip them, as CIFAR's.
    """

    kind: ClassVar[str]
    """The registered name."""

    path: str = ""
    title: str = ""
    augment: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_path()
        if len(self.title.splitlines()) > 1:
            raise UserError(f"title is {self.title!r}; it must be one line of text")

    def _check_path(self) -> None:
        if self.path == "":
            raise UserError(f"{self.kind} needs the option path: where the data are, relative to the data root")
        parts = PurePosixPath(self.path).parts
        # one spelling for one place: the path is part of the ids of runs
        if not parts or "/".join(parts) != self.path or ".." in parts or self.path.startswith(("/", "~")):
            raise UserError(
                f"path is {self.path!r}; it must be relative to the data root, such as flowers or plants/flowers, so "
                "that ids of runs stay the same when the data are moved; for another place give --data-root"
            )

    @abstractmethod
    def facts_at(self, root: Path) -> DataSetInfo:
        """From listings and headers of the files; needs no torch. Raises DataMissing, or UserError for a flaw."""

    @abstractmethod
    def targets_at(self, root: Path) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """(n,) classes of the training samples, and their groups if there are any; needs no torch."""

    @abstractmethod
    def class_name(self, root: Path, index: int) -> str:
        """What a message calls a class."""

    def describe(self) -> DataSetInfo:
        return self.facts_at(data_root())

    def place(self, root: Path) -> Path:
        return root / self.path

    def existing_place(self, root: Path) -> Path:
        place = self.place(root)
        if not place.exists():
            raise DataMissing(
                f"{self.kind}: {place} does not exist; option path ({self.path!r}) is relative to the data root "
                f"{root}, which --data-root or $PRUNEBENCH_DATA chooses"
            )
        return place

    def train_size(self, validation: float) -> int | None:
        return len(self._cut(data_root(), validation)[0])

    def _cut(self, root: Path, validation: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Training and validation indices. Raises UserError, naming classes that are too small to be cut."""
        import numpy as np

        from .in_memory import cut

        targets, groups = self.targets_at(root)
        if validation > 0 and groups is None:
            lonely = np.flatnonzero(np.bincount(targets) == 1).tolist()
            if lonely:
                names = some([self.class_name(root, index) for index in lonely])
                raise DataDamaged(
                    f"{self.kind}: {self.place(root)}: only one training sample of {names}; "
                    "training and validation need one each (validation: 0 cuts none)"
                )
        return cut(targets, validation, self.limit, groups)

    def load(self, root: Path, validation: float) -> Any:
        self._cut(root, validation)
        return super().load(root, validation)

    def augmentation(self) -> Augmentation | None:
        return Augmentation(padding=PADDING) if self.augment else None

    def check_augmenting(self, input_shape: tuple[int, ...], *, is_image: bool) -> None:
        """Raises UserError where there is nothing to crop and flip, or less than the padding reflects."""
        if self.augment and not is_image:
            raise UserError(f"{self.kind}: augment crops and flips uint8 images; {self.path} holds other inputs")
        if self.augment and min(input_shape[1:]) <= PADDING:
            raise UserError(f"{self.kind}: augment pads by {PADDING} pixels; images of {input_shape[1:]} are too small")

    def measured(self, arrays: Arrays) -> Normalisation | None:
        return of_pixels(arrays.train_inputs) if is_bytes(arrays.train_inputs) else None

    def recorded(self, info: DataSetInfo, normalisation: Normalisation | None) -> dict[str, Any]:
        """Tables need the number of classes where the data are not."""
        used = None if normalisation is None else {"mean": normalisation.mean, "std": normalisation.std}
        return {"input_shape": info.input_shape, "num_classes": info.num_classes, "normalisation": used}

    def check(self, root: Path) -> list[str]:
        info, arrays = self.facts_at(root), self.verified(root)
        least, most = arrays.train_targets.bincount().aminmax()
        shape, normalisation = "x".join(map(str, info.input_shape)), self.measured(arrays)
        used = "taken as they are" if normalisation is None else f"mean {_shown(normalisation.mean)}, deviation "
        used += "" if normalisation is None else _shown(normalisation.std)
        return [
            f"{info.title}: {info.num_train} training and {info.num_test} test samples of shape {shape}",
            f"{info.title}: {info.num_classes} classes, {least} to {most} training samples each",
            f"{info.title}: inputs {used}; fingerprint {whole_fingerprint(arrays)}",
        ]

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """Nothing to fetch; `check` reads the files afterwards."""
        if archive is not None:
            raise UserError(f"{self.kind} takes no archive ({archive}): its files are your own, in {self.place(root)}")
        return self.existing_place(root)


def _shown(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def is_bytes(inputs: Tensor) -> bool:
    import torch

    return inputs.dtype is torch.uint8


def of_pixels(images: Tensor) -> Normalisation:
    """Mean and deviation of each channel over all pixels of (n, c, h, w) uint8; a constant channel is only centred."""
    import numpy as np

    values = np.arange(256) / 255
    mean, std = [], []
    for channel in range(images.shape[1]):
        counts = images[:, channel].flatten().bincount(minlength=256).numpy()
        shares = counts / counts.sum()
        centre = float((shares * values).sum())
        deviation = float(np.sqrt((shares * (values - centre) ** 2).sum()))
        mean.append(centre)
        std.append(deviation if deviation > FEWEST_DEVIATIONS else 1.0)
    return Normalisation(mean=tuple(mean), std=tuple(std))


def some(items: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(items) - MOST_NAMED
    return ", ".join(items[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
