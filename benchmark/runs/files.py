"""Files of the suite: written atomically, and checked when they are read. Nothing here imports torch."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..api.errors import Damaged, UserError

SCHEMA = 1
"""Version of the format of results."""

FROM_RECORD = "from_record"
"""Key of a result that came from a record (see `records`): the files that it names are on another machine."""


def now() -> float:
    """Seconds since the epoch, UTC, as files record times."""
    return time.time()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write beside the target, flush to disk, rename: readers see the old file or the new one, never a part."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; results are shared as the user's umask says
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_stored(path: Path) -> bytes:
    """The content of a file of a run. Raises FileNotFoundError, and Damaged if it is not a file."""
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise Damaged(path, "it is a folder, not a file") from None
    except NotADirectoryError:
        # The run's folder is a file, so the run has no files.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Damaged(path, "it is a link that leads back to itself") from None
        raise


def read_json(path: Path) -> Any:
    """Parsed JSON. Raises Damaged if the file is not JSON."""
    # Twice as fast as json.loads, for tables of thousands of results; imported late, to start commands faster.
    from pydantic_core import from_json

    try:
        return from_json(read_stored(path))
    except ValueError as error:
        raise Damaged(path, f"not valid JSON ({error})") from error


def read_typed(path: Path, kind: type) -> dict[str, Any]:
    """The content of a file of this kind. Raises Damaged for another shape, UserError for another version."""
    from .stored_types import flaw

    content = read_json(path)
    check_schema(content, path)
    if reason := flaw(content, kind):
        raise Damaged(path, reason)
    return content


def check_schema(content: Mapping[str, Any], path: Path) -> None:
    """Raises UserError for a file of another version of the format, and Damaged for one without a version."""
    found = content.get("schema") if isinstance(content, Mapping) else None
    if not isinstance(found, int):
        raise Damaged(path, "it names no version of the format")
    if found != SCHEMA:
        raise UserError(
            f"{path} has result format {found!r}, this version reads {SCHEMA}; use another --results folder"
        )


def size_of(path: Path) -> int:
    """Bytes of a file that a result names. Raises Damaged if it is missing or not a file."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise Damaged(path, "it is missing, and its result says that it is there") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Damaged(path, "it is a link that leads back to itself") from None
        raise
    if not stat.S_ISREG(found.st_mode):
        raise Damaged(path, f"it is {'a folder' if stat.S_ISDIR(found.st_mode) else 'a device or a pipe'}, not a file")
    return found.st_size


def free_name(path: Path) -> Path:
    """The name under which a damaged file is kept: `<name>.damaged`, or `<name>.damaged-2` ... if that is taken."""
    numbered = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(2))
    first = path.with_name(f"{path.name}.damaged")
    return next(place for place in itertools.chain([first], numbered) if not place.exists())


def names_in(folder: Path) -> list[str]:
    """Names in a folder; none if there is no folder."""
    try:
        return os.listdir(folder)  # noqa: PTH208  building a Path for each name of thousands of folders takes longer
    except (FileNotFoundError, NotADirectoryError):
        return []


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path, facts: Mapping[str, Any], read: Callable[[Path], str] = digest_of) -> None:
    """Raises Damaged if a file has another size or SHA-256 than its result says. `read` gives the SHA-256."""
    size = size_of(path)
    if size != facts["bytes"]:
        raise Damaged(path, f"it has {size} bytes, its result says {facts['bytes']}")
    if read(path) != facts["sha256"]:
        raise Damaged(path, "its SHA-256 is not the one in its result")
