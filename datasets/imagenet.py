"""ImageNet-1k, from class folders or from the three archives of the challenge of 2012."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..benchmark.api.data import Data
from ..benchmark.api.errors import DataDamaged, DataMissing, UserError
from ..benchmark.api.options import check_fields
from .parts.imagenet_archives import unpack
from .parts.in_memory import cut
from .parts.info import DataSetInfo, Decoder, Normalisation, Report, size_of_cut
from .parts.install import compare_with_manifest, installing, is_ready, write_manifest
from .parts.listing import Listing, list_images

if TYPE_CHECKING:
    from pydantic import Field

    from .parts.image_folder_split import ImageFolderSplit
    from .parts.stratify import Indices

FOLDER = "imagenet"
NORMALISATION = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
NUM_DECODED = 32  # images of each split that `check` decodes


@dataclass(frozen=True, kw_only=True)
class ImageNet:
    """Russakovsky et al., 2015 (arXiv:1409.0575). <root>/imagenet, or the root itself, has train/ and val/.

    The published validation images, val/, are the test set; the validation split is cut from train/. Training images
    are cropped at random to 224x224 and flipped, the others are resized to 256 and cropped in the centre.

    Args:
        limit: Number of training samples to keep, with the same class shares; null keeps all.
        decoder: `pillow`, as torchvision's ImageNet recipes; or `torchcodec` (`pip install prunebench[images]`): it
            decodes to tensors, whose resizing is faster and rounds differently, by a grey level or two.
    """

    facts: ClassVar[DataSetInfo] = DataSetInfo(
        name="imagenet",
        title="ImageNet",
        input_shape=(3, 224, 224),
        num_classes=1000,
        num_train=1_281_167,
        num_test=50_000,
        licence="non-commercial research and education, by agreement with image-net.org",
        source="https://image-net.org/challenges/LSVRC/2012/",
    )

    limit: Annotated[int, Field(ge=1)] | None = None
    decoder: Decoder = "pillow"

    def __post_init__(self) -> None:
        check_fields(self)

    def describe(self) -> DataSetInfo:
        return self.facts

    def train_size(self, validation: float) -> int:
        return size_of_cut(self.facts, validation, self.limit)

    def place(self, root: Path) -> Path:
        """<root>/imagenet, unless the root itself is a copy."""
        is_copy = (root / "train").is_dir() and (root / "val").is_dir()
        return root if is_copy and not (root / FOLDER).exists() else root / FOLDER

    def load(self, root: Path, validation: float) -> Data:
        train, test = self.verified(self.place(root))
        kept, held_out = cut(train.targets, validation, self.limit)
        return Data(
            name=self.facts.name,
            train=_split(train, kept, augments=True, decoder=self.decoder),
            validation=_split(train, held_out, decoder=self.decoder),
            test=_split(test, decoder=self.decoder),
            input_shape=self.facts.input_shape,
            num_classes=self.facts.num_classes,
            fingerprint=fingerprint(train, test, kept, held_out),
        )

    def verified(self, place: Path) -> tuple[Listing, Listing]:
        """The listings of train/ and val/, with the published classes and counts."""
        listings = []
        for part, count in (("train", self.facts.num_train), ("val", self.facts.num_test)):
            folder = place / part
            if not folder.is_dir():
                raise _missing(f"{part}/ is missing in {place}")
            listing = list_images(folder)
            if len(listing.classes) != self.facts.num_classes:
                raise DataDamaged(f"{folder} has {len(listing.classes)} class folders, not {self.facts.num_classes}")
            if len(listing.files) != count:
                raise DataDamaged(f"{folder} has {len(listing.files)} images, not {count}")
            listings.append(listing)
        train, test = listings
        if train.classes != test.classes:
            odd = sorted(set(train.classes) ^ set(test.classes))[0]
            raise DataDamaged(f"{place}: class folder {odd} is in only one of train/ and val/")
        return train, test

    def check(self, root: Path) -> list[str]:
        import torch

        place, name = self.place(root), self.facts.name
        train, test = self.verified(place)
        for listing in (train, test):
            chosen = torch.linspace(0, len(listing.files) - 1, min(NUM_DECODED, len(listing.files))).long()
            _split(listing).sample(chosen, device=torch.device("cpu"))
        return [
            f"{name}: {len(train.files)} training and {len(test.files)} test images in {place}",
            f"{name}: {len(train.classes)} classes, the same in train/ and val/; {len(chosen)} images of each decoded",
            f"{name}: {compare_with_manifest(place, listing_fingerprint(train, test))}",
            f"{name}: licence: {self.facts.licence}; source: {self.facts.source}",
        ]

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """Link to a folder with train/ and val/, or unpack the archives in it; there is no download."""
        if is_ready(lambda: self.verified(self.place(root))):
            return self.place(root)
        if archive is None:
            raise _missing(f"not in {self.place(root)}")
        if not archive.is_dir():
            raise UserError(f"imagenet: {archive} is not a folder; expected one with train/ and val/, or with archives")
        target = root / FOLDER
        if target.exists() or target.is_symlink():
            raise UserError(
                f"{target} is there, and is not whole; `prepare --check` says why; remove it to prepare anew"
            )
        with installing(self.facts.name, root) as staging:
            if (archive / "train").is_dir() and (archive / "val").is_dir():
                self.verified(archive)
                target.symlink_to(archive.resolve())
            else:
                whole = staging / FOLDER
                whole.mkdir()
                unpack(archive, whole, report)
                train, test = self.verified(whole)
                write_manifest(whole, self.facts.name, str(archive), listing_fingerprint(train, test))
                whole.replace(target)
        return target


def _missing(what: str) -> DataMissing:
    """No machine fetches ImageNet by itself: its authors ask for an account."""
    return DataMissing(
        f"imagenet: {what}; its authors ask for an account: get the archives from image-net.org and run "
        "`prunebench prepare imagenet --from FOLDER`"
    )


def _split(
    listing: Listing, indices: Indices | None = None, *, augments: bool = False, decoder: Decoder = "pillow"
) -> ImageFolderSplit:
    import torch

    from .parts.image_folder_split import ImageFolderSplit

    files, targets = listing.files, torch.from_numpy(listing.targets)
    if indices is not None:
        files, targets = [files[index] for index in indices], targets[indices]
    return ImageFolderSplit(
        listing.folder, files, targets, normalisation=NORMALISATION, augments=augments, decoder=decoder
    )


def fingerprint(train: Listing, test: Listing, kept: Indices, held_out: Indices) -> str:
    """sha256 of the names and of the indices of the splits; the images, 150 GB, are not read for it."""
    digest = hashlib.sha256(listing_fingerprint(train, test).encode())
    for indices in (kept, held_out):
        digest.update(f"{len(indices)}".encode() + indices.tobytes())
    return digest.hexdigest()


def listing_fingerprint(train: Listing, test: Listing) -> str:
    """sha256 of the names of all images."""
    return hashlib.sha256("\n".join([*train.files, "", *test.files]).encode()).hexdigest()
