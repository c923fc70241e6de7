"""Reads a user's .npz file: headers without contents, arrays without pickle; errors name what is wrong."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ...benchmark.api.errors import DataDamaged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Header:
    """Shape and type of one array of the file."""

    shape: tuple[int, ...]
    dtype: np.dtype


def read_headers(path: Path) -> dict[str, Header]:
    """The headers of all arrays, by key. Raises DataDamaged for what is no .npz file, and for Python objects in it."""
    with _opened(path) as archive:
        return {
            name.removesuffix(".npy"): _header(archive.open(name), path, name.removesuffix(".npy"))
            for name in archive.namelist()
        }


def read_array(path: Path, key: str) -> NDArray:
    """One array of a file whose headers have been read."""
    import numpy as np

    with _opened(path) as archive, archive.open(f"{key}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DataDamaged:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataDamaged(f"arrays: {path} cannot be read as an .npz file: {reason}") from error


def _header(file: IO[bytes], path: Path, key: str) -> Header:
    import numpy as np

    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with file:
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise DataDamaged(f"arrays: {path}: {key} has a header of version {version}; known: 1.0, 2.0")
        shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise DataDamaged(f"arrays: {path}: {key} holds Python objects, which are never unpickled")
    return Header(tuple(shape), dtype)
