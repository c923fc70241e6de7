"""Lists the images of the user's own folder by class, and names files that do not belong there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...benchmark.api.errors import DataDamaged, UserError
from .listing import SUFFIXES, Listing
from .own_data import some

TEST_SEED = 3
SPLITS = ("train", "test")

Images = Mapping[str, Sequence[str]]
"""Sorted names of images by class, classes sorted too."""


def list_own(place: Path, test_fraction: float | None) -> tuple[Listing, Listing]:
    """The training and the test images: of `train/` and `test/`, or cut by class from class folders.

    Hidden files are left out, links are followed. Raises DataDamaged naming what does not fit, UserError where
    `test_fraction` does not fit the folder.
    """
    if not place.is_dir():
        raise DataDamaged(f"image-folder: {place} is not a folder")
    folders = [entry.name for entry in _entries(place) if entry.is_dir()]
    if not set(SPLITS) & set(folders):
        return _cut(place, test_fraction)
    if test_fraction is not None:
        raise UserError(f"test_fraction is {test_fraction}, but {place} has a folder train or test of its own")
    if set(folders) != set(SPLITS):
        raise DataDamaged(
            f"image-folder: {place} holds the folders {some(folders)}; it must hold train and test and no other, or "
            "class folders only (validation is cut from train)"
        )
    train, test = (_scan(place, split) for split in SPLITS)
    for one, other, split in ((train, test, "train"), (test, train, "test")):
        if lone := [name for name in one if name not in other]:
            raise DataDamaged(f"image-folder: {place}: classes in {split} only: {some(lone)}")
    return _listing(place / "train", train), _listing(place / "test", test)


def _cut(place: Path, test_fraction: float | None) -> tuple[Listing, Listing]:
    import numpy as np

    from .stratify import choose

    if test_fraction is None:
        raise UserError(f"{place} has no folders train and test; option test_fraction says how much of it is the test")
    images = _scan(place, "")
    if lone := [name for name, files in images.items() if len(files) == 1]:
        raise DataDamaged(f"image-folder: {place}: one image only of {some(lone)}; training and test need one each")
    whole = _listing(place, images)
    count = max(round(test_fraction * len(whole.files)), len(whole.classes))
    test, train = choose(whole.targets, count, seed=TEST_SEED, keep_rest=True)
    names = np.array(whole.files, dtype=object)
    return tuple(Listing(place, whole.classes, tuple(names[chosen]), whole.targets[chosen]) for chosen in (train, test))  # pyright: ignore[reportReturnType]


def _listing(folder: Path, images: Images) -> Listing:
    import numpy as np

    files = tuple(f"{name}/{file}" for name, names in images.items() for file in names)
    targets = np.repeat(np.arange(len(images)), [len(names) for names in images.values()])
    return Listing(folder, tuple(images), files, targets.astype(np.int64))


def _scan(place: Path, split: str) -> Images:
    problems: list[str] = []
    images: dict[str, list[str]] = {}
    folder = place / split
    for entry in _entries(folder):
        shown = f"{split}/{entry.name}" if split else entry.name
        if entry.is_dir():
            images[entry.name] = _images_of(Path(entry.path), shown, problems)
        elif entry.is_symlink() and not Path(entry.path).exists():
            problems.append(f"{shown} is a link to nothing")
        elif entry.name.lower().endswith(SUFFIXES):
            problems.append(f"{shown} is an image in no class folder")
    if problems:
        raise DataDamaged(f"image-folder: {place}: {len(problems)} problem(s): {some(problems)}")
    if len(images) < 2:
        raise DataDamaged(f"image-folder: {folder} has {len(images)} class folders; there must be at least 2")
    return images


def _images_of(folder: Path, shown: str, problems: list[str]) -> list[str]:
    images = []
    for entry in _entries(folder):
        name = f"{shown}/{entry.name}"
        if entry.is_dir():
            problems.append(f"{name} is a folder in a class folder")
        elif not entry.is_file():
            problems.append(f"{name} is a link to nothing" if entry.is_symlink() else f"{name} is no regular file")
        elif entry.name.lower().endswith(SUFFIXES):
            images.append(entry.name)
        else:
            problems.append(f"{name} is not an image by its name")
    if not images:
        problems.append(f"{shown} has no images")
    return images


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Sorted by name, hidden ones left out: archives from a Mac bring a ._x.jpg for each x.jpg."""
    try:
        with os.scandir(folder) as entries:
            return sorted((each for each in entries if not each.name.startswith(".")), key=lambda each: each.name)
    except PermissionError as error:
        raise DataDamaged(f"image-folder: {folder} cannot be read: {error.strerror}") from error
