"""Reads idx files such as MNIST's, plain or gzipped. Format: yann.lecun.com/exdb/mnist, section FILE FORMATS."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from ...benchmark.api.errors import DataDamaged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UINT8 = 0x08


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The uint8 array in `path`; `DataDamaged` if the file is damaged or of another type or number of dimensions."""
    import numpy as np

    content = _content(path)
    header = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, UINT8, dimensions]) or len(content) < header:
        raise DataDamaged(
            f"{path} is not an idx file of bytes in {dimensions} dimensions (it starts {content[:4].hex()!r})"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise DataDamaged(
            f"{path} is damaged: {len(content) - header} bytes of data where its header promises {math.prod(shape)}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataDamaged(f"{path} is truncated or damaged: {error}") from error
