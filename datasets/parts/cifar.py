"""What CIFAR-10 and CIFAR-100 share: the authors' Python pickles, in torchvision's folder layout."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...benchmark.api.errors import DataDamaged
from .download import Remote, download, take
from .in_memory import Arrays, ResidentDataSet, whole_fingerprint
from .info import Augmentation, Normalisation, Report
from .install import DOWNLOADS, installing, is_ready, put, unpack_tar, write_manifest
from .roots import missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PIXELS = (3, 32, 32)
# all that numpy's arrays need: pickles of another kind are refused even if their checksum were forged
HARMLESS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True, kw_only=True)
class Cifar(ResidentDataSet):
    """Colour images, 32x32; training batches are reflect-padded by 4, cropped and flipped.

    Args:
        folder: Of the pickles, in the archive and under the data root.
        labels: Key of the class numbers in a pickle.
        meta_file: Names of the classes; not read here, but torchvision wants it in the same folder.
        checksums: md5 of each file that is read. A file is unpickled only after it has been compared.
    """

    folder: ClassVar[str]
    labels: ClassVar[str]
    archive: ClassVar[Remote]
    train_files: ClassVar[tuple[str, ...]]
    test_files: ClassVar[tuple[str, ...]]
    meta_file: ClassVar[str]
    checksums: ClassVar[Mapping[str, str]]

    def normalisation(self) -> Normalisation:
        """The constants of this field: means of CIFAR-10's pixels, and deviations *within* images, averaged."""
        return Normalisation(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))

    def augmentation(self) -> Augmentation:
        return Augmentation(padding=4, padding_mode="reflect", flips=True)

    def place(self, root: Path) -> Path:
        return root / self.folder

    def read(self, root: Path) -> Arrays:
        train, test = (self._read(self.place(root), names) for names in (self.train_files, self.test_files))
        return Arrays(*train, *test)

    def _read(self, folder: Path, names: tuple[str, ...]) -> tuple[Any, Any]:
        import numpy as np
        import torch

        parts = [self._read_file(folder / name) for name in names]
        images = np.concatenate([images for images, _ in parts]).reshape(-1, *PIXELS)
        labels = np.concatenate([labels for _, labels in parts])
        return torch.from_numpy(images), torch.from_numpy(labels)

    def _read_file(self, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        import numpy as np

        if not path.is_file():
            raise missing(self.facts.name, path.name, path.parent, self.archive.name)
        content = path.read_bytes()
        found, expected = hashlib.md5(content).hexdigest(), self.checksums[path.name]
        if found != expected:
            raise DataDamaged(f"{path} is not the published file, or is damaged: md5 {found}, expected {expected}")
        entry = unpickle(content, path)
        images, labels = entry.get("data"), entry.get(self.labels)
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (3072,):
            raise DataDamaged(f"{path} holds no 'data' of uint8 in rows of 3072")
        if not isinstance(labels, list) or len(labels) != len(images):
            raise DataDamaged(f"{path} holds no list {self.labels!r} of {len(images)} labels")
        return images, np.array(labels, dtype=np.int64)

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """Unpack the published archive, downloaded or given."""
        if is_ready(lambda: self.verified(root)):
            return self.place(root)
        name, names = self.facts.name, (*self.train_files, *self.test_files, self.meta_file)
        with installing(name, root) as staging:
            path = take(archive, self.archive) if archive else download(name, self.archive, root / DOWNLOADS, report)
            put(unpack_tar(path, {f"{self.folder}/{file}": file for file in names}, staging), self.place(root))
            source = str(archive or self.archive.urls[0])
            write_manifest(self.place(root), name, source, whole_fingerprint(self.verified(root)))
            if archive is None:
                path.unlink()
        return self.place(root)


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it would import {module}.{name}")
        return super().find_class(module, name)


def unpickle(content: bytes, path: Path) -> dict[str, Any]:
    """A dictionary of arrays and lists, written by Python 2. Its strings stay bytes, as most are pixels."""
    try:
        entry = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataDamaged(f"{path} is not a CIFAR pickle: {error}") from error
    if not isinstance(entry, dict):
        raise DataDamaged(f"{path} is not a CIFAR pickle: it holds a {type(entry).__name__}")
    return {key.decode() if isinstance(key, bytes) else key: value for key, value in entry.items()}
