"""Cache of decoded images, beside the data or in the user's cache folder: only the first run decodes."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...benchmark.api.errors import MachineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BESIDE = ".prunebench"
"""Folder in the data's own; hidden, so that it is no class."""
IN_HOME = Path("~/.cache/prunebench/decoded")
FORMAT = 1
DIGEST = "sha256"


def cache_key(files: Sequence[Path], names: Sequence[str], options: Mapping[str, object]) -> str:
    """Of names, sizes and times of change of all files and of the options that decide on pixels."""
    digest = hashlib.sha256(repr((FORMAT, sorted(options.items()))).encode())
    for path, name in zip(files, names, strict=True):
        facts = path.stat()
        digest.update(os.fsencode(name) + f"\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def folders(place: Path) -> tuple[Path, Path]:
    """Where the cache of `place` is looked for and written, in this order."""
    return place / BESIDE, IN_HOME.expanduser()


def read_cache(place: Path, key: str) -> dict[str, NDArray] | None:
    """The arrays by name; None where there are none or only damaged ones, so that images are decoded again."""
    from safetensors import SafetensorError, safe_open

    for folder in folders(place):
        path = folder / f"{key}.safetensors"
        try:
            with safe_open(path, framework="numpy") as file:
                noted = (file.metadata() or {}).get(DIGEST)
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (FileNotFoundError, NotADirectoryError, PermissionError, SafetensorError):
            continue
        if digest_of(arrays) == noted:
            return arrays
    return None


def write_cache(place: Path, key: str, arrays: Mapping[str, NDArray]) -> Path:
    """Where it was written. Raises MachineError where neither folder can be."""
    failures = []
    for folder in folders(place):
        try:
            return _write(folder, key, arrays)
        except OSError as error:
            failures.append(f"{folder} ({error.strerror})")
    raise MachineError(f"image-folder: decoded images can be written to neither {' nor '.join(failures)}")


def _write(folder: Path, key: str, arrays: Mapping[str, NDArray]) -> Path:
    """Written under another name and renamed: several processes may decode at once."""
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / f"{key}.safetensors", folder / f".{key}.{uuid.uuid4().hex}.part"
    try:
        part.write_bytes(save(dict(arrays), metadata={DIGEST: digest_of(arrays)}))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def digest_of(arrays: Mapping[str, NDArray]) -> str:
    import numpy as np

    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
