"""The data root, and the error for data that is missing there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...benchmark.api.errors import DataDamaged, DataMissing

ENVIRONMENT_VARIABLE = "PRUNEBENCH_DATA"
DEFAULT_ROOT = Path("~/.cache/prunebench/data")


def data_root(root: Path | str | None = None) -> Path:
    """The folder of all data sets: the argument, else $PRUNEBENCH_DATA, else ~/.cache/prunebench/data."""
    named = Path(root or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_ROOT)
    try:
        chosen = named.expanduser().absolute()
    except RuntimeError as error:
        raise DataMissing(f"data root {named}: this user has no home folder here; give --data-root") from error
    if chosen.exists() and not chosen.is_dir():
        raise DataDamaged(f"data root {chosen} is not a folder")
    return chosen


@contextmanager
def reading_from(root: Path | str) -> Iterator[None]:
    """In here, and in processes started from here, `root` is the data root unless another is given."""
    before = os.environ.get(ENVIRONMENT_VARIABLE)
    # a home folder is looked up where the root is used, and refused there if it does not exist
    os.environ[ENVIRONMENT_VARIABLE] = str(root) if str(root).startswith("~") else str(Path(root).absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENVIRONMENT_VARIABLE]
        else:
            os.environ[ENVIRONMENT_VARIABLE] = before


def missing(name: str, what: str, where: Path, archive: str) -> DataMissing:
    """Says which file of data set `name` is missing where, and the two ways to get it."""
    return DataMissing(
        f"{name}: {what} is missing in {where}; run `prunebench prepare {name}` on a machine with internet, "
        f"or `prunebench prepare {name} --from {archive}`"
    )
