"""What MNIST and Fashion-MNIST share: four idx files in torchvision's folder layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .base import Arrays, ResidentDataSet
from .idx import read_idx
from .info import Report
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
    system_folders: ClassVar[tuple[Path, ...]] = ()

    def locate(self, root: Path) -> Path:
        """The first folder that has all four files; `DataMissing` names the first file that is in none."""
        places = (self.raw(root), *self.system_folders)
        for place in places:
            if all(_variants(place, name) for name in FILES):
                return place
        absent = next(name for name in FILES if not _variants(places[0], name))
        raise missing(self.facts.name, f"{absent}(.gz)", self.raw(root), "FOLDER")

    def raw(self, root: Path) -> Path:
        """Where torchvision has these files under `root`."""
        return root / self.folder / "raw"

    def read(self, root: Path) -> Arrays:
        import torch

        place = self.locate(root)
        arrays = [read_idx(_variants(place, name)[0], dimensions=3 if "images" in name else 1) for name in FILES]
        images, labels, test_images, test_labels = (torch.tensor(array) for array in arrays)
        return Arrays(images.unsqueeze(1), labels.long(), test_images.unsqueeze(1), test_labels.long())

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        return self.locate(root)


def _variants(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
