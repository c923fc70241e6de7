"""`image-folder`: the user's own images in class folders, decoded once into memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from ..benchmark.api.errors import DataDamaged
from .parts.decoded_cache import cache_key, read_cache, write_cache
from .parts.in_memory import Arrays
from .parts.info import DataSetInfo
from .parts.own_data import OwnData
from .parts.own_decode import attempt, decode_all
from .parts.own_listing import list_own

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import Field

    from .parts.listing import Listing


@dataclass(frozen=True, kw_only=True)
class OwnImages(OwnData):
    """`train/<class>/` and `test/<class>/`, or `<class>/` with a test split cut by class with a fixed seed.

    Classes are numbered in the order of their names. Each channel is normalised by its mean and deviation over all
    training images, validation included. Everything is held in memory: n x channels x height x width bytes.

    Args:
        size: Height and width: the largest centred square is resized to it (bilinear, antialiased). 0: images stay as
            they are, and must all be of one size.
        channels: 3 is colour, 1 is grey; images of the other kind are converted.
        test_fraction: Of each class, where there are no folders train and test.
    """

    kind: ClassVar[str] = "image-folder"

    size: Annotated[int, Field(ge=0)] = 0
    channels: Literal[1, 3] = 3
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None

    def facts_at(self, root: Path) -> DataSetInfo:
        train, test = self._listings(root)
        shape = self._shape(train)
        self.check_augmenting(shape, is_image=True)
        return DataSetInfo(
            name=self.kind,
            title=self.title or self.path,
            input_shape=shape,
            num_classes=len(train.classes),
            num_train=len(train.files),
            num_test=len(test.files),
            licence="your own",
            source=self.path,
        )

    def _listings(self, root: Path) -> tuple[Listing, Listing]:
        return list_own(self.existing_place(root), self.test_fraction)

    def _shape(self, train: Listing) -> tuple[int, int, int]:
        """By option, else of the first training image."""
        if self.size:
            return self.channels, self.size, self.size
        first = train.folder / train.files[0]
        image = attempt(first, self.channels, size=0)
        if isinstance(image, str):
            raise DataDamaged(f"image-folder: {first} cannot be decoded: {image}")
        return self.channels, image.shape[1], image.shape[2]

    def targets_at(self, root: Path) -> tuple[NDArray[np.int64], None]:
        return self._listings(root)[0].targets, None

    def class_name(self, root: Path, index: int) -> str:
        return self._listings(root)[0].classes[index]

    def read(self, root: Path) -> Arrays:
        import torch

        tensors = {name: torch.from_numpy(array) for name, array in self._decoded(root).items()}
        return Arrays(**tensors)

    def _decoded(self, root: Path) -> dict[str, NDArray]:
        """From the cache, or decoded and cached. An error names all files that cannot be used."""
        place, (train, test) = self.place(root), self._listings(root)
        files = [listing.folder / file for listing in (train, test) for file in listing.files]
        names = [str(path.relative_to(place)) for path in files]
        options = {"size": self.size, "channels": self.channels, "test_fraction": self.test_fraction}
        key = cache_key(files, names, options)
        found = read_cache(place, key)
        if found is not None:
            return found
        images = decode_all(files, names, channels=self.channels, size=self.size, folder=place)
        cut = len(train.files)
        arrays = {
            "train_inputs": images[:cut],
            "train_targets": train.targets,
            "test_inputs": images[cut:],
            "test_targets": test.targets,
        }
        write_cache(place, key, arrays)
        return arrays
