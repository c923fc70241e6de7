"""What MNIST and Fashion-MNIST share: four idx files in torchvision's folder layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...benchmark.api.errors import UserError
from .download import Remote, download, mismatch, take
from .idx import read_idx
from .in_memory import Arrays, ResidentDataSet, whole_fingerprint
from .info import Report
from .install import DOWNLOADS, copy_in, installing, is_ready, put, write_manifest
from .roots import missing

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True, kw_only=True)
class IdxImages(ResidentDataSet):
    """Files are looked for in <root>/<folder>/raw, plain or with .gz, and then in `system_folders`."""

    folder: ClassVar[str]
    mirrors: ClassVar[tuple[str, ...]]
    checksums: ClassVar[Mapping[str, tuple[str, ...]]]
    system_folders: ClassVar[tuple[Path, ...]] = ()

    def raw(self, root: Path) -> Path:
        """Where torchvision has these files under `root`."""
        return root / self.folder / "raw"

    def place(self, root: Path) -> Path:
        places = (self.raw(root), *self.system_folders)
        return next((place for place in places if all(_variants(place, name) for name in FILES)), places[0])

    def read(self, root: Path) -> Arrays:
        import torch

        place = self.place(root)
        for name in FILES:
            if not _variants(place, name):
                raise missing(self.facts.name, f"{name}(.gz)", place, "FOLDER")
        arrays = [read_idx(_variants(place, name)[0], dimensions=3 if "images" in name else 1) for name in FILES]
        images, labels, test_images, test_labels = (torch.tensor(array) for array in arrays)
        return Arrays(images.unsqueeze(1), labels.long(), test_images.unsqueeze(1), test_labels.long())

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """Four files with the published checksums, from the mirrors or from the folder `archive`."""
        name = self.facts.name
        if archive is not None and not archive.is_dir():
            raise UserError(f"{name}: {archive} is not a folder; expected one with {FILES[0]}.gz and three more")
        if is_ready(lambda: self.verified(root)):
            return self.place(root)
        with installing(name, root) as staging:
            for remote in self._remotes():
                placed = self.raw(root) / remote.name
                if placed.is_file() and not mismatch(placed, remote):
                    continue
                if archive is not None:
                    path = copy_in(take(archive / remote.name, remote), staging)
                else:
                    path = download(name, remote, root / DOWNLOADS, report, by_hand="FOLDER")
                put({remote.name: path}, self.raw(root))
            for file in FILES:
                # the copy that could not be read; it would be preferred to the good compressed one
                (self.raw(root) / file).unlink(missing_ok=True)
            source = str(archive or self.mirrors[0])
            write_manifest(self.raw(root), name, source, whole_fingerprint(self.verified(root)))
        return self.raw(root)

    def _remotes(self) -> list[Remote]:
        return [
            Remote(name=name, urls=tuple(mirror + name for mirror in self.mirrors), checksums=checksums)
            for name, checksums in self.checksums.items()
        ]


def _variants(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
