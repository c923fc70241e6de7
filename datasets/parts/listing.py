"""Images in class folders, listed in the order of torchvision's ImageFolder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...benchmark.api.errors import DataDamaged

if TYPE_CHECKING:
    from .stratify import Indices

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
WORDNET_ID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Listing:
    """Paths relative to `folder`, by class and then by name, and the index of each one's class."""

    folder: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    targets: Indices


def list_images(folder: Path) -> Listing:
    """All images one level below `folder`; the folders there, which are named by WordNet ids, are the classes."""
    import numpy as np

    with os.scandir(folder) as entries:
        names = {entry.name: entry.is_dir() for entry in entries if not entry.name.startswith(".")}
    classes = sorted(name for name, is_folder in names.items() if is_folder)
    if not classes:
        raise DataDamaged(
            f"{folder} has {len(names)} files and no class folders: images must be sorted into folders n01440764 "
            "and so on (unpack the archives with `prunebench prepare imagenet --from FOLDER`, which sorts them)"
        )
    strange = next((name for name in classes if not WORDNET_ID.fullmatch(name)), None)
    if strange:
        # other names sort into another order of classes, and weights trained elsewhere would be worthless
        raise DataDamaged(f"{folder / strange} is not named by a WordNet id such as n01440764")
    files, targets = [], []
    for index, name in enumerate(classes):
        images = _images(folder / name)
        files.extend(f"{name}/{image}" for image in images)
        targets.extend([index] * len(images))
    return Listing(folder, tuple(classes), tuple(files), np.array(targets, dtype=np.int64))


def _images(folder: Path) -> list[str]:
    """Sorted names. Hidden files are left out: an archive from a Mac may bring ._n01440764_1.JPEG for each image."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    images = sorted(name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith("."))
    if not images:
        raise DataDamaged(f"{folder} has no images")
    return images
