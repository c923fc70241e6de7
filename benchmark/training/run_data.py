"""The data of a run, and whether its dense training was of the same data."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ...datasets.parts.roots import data_root
from ...datasets.registry import load
from ..api.data import Data
from ..runs.recompute import is_done
from ..runs.run import Run
from ..runs.settings import Settings
from ..runs.store import Store
from .same_data import DataOrigin, check_parent


@functools.lru_cache(maxsize=1)
def _read(name: str, root: Path, validation: float, options: tuple[tuple[str, Any], ...]) -> Data:
    """A worker computes many runs of one study: it reads their data once."""
    return load(name, root=root, validation=validation, **dict(options))


def read_data(run: Run, settings: Settings) -> Data:
    """The data of a run, kept for the runs after it. Raises UserError if they are missing or damaged."""
    return _read(run.dataset, data_root(settings.data_root), run.validation, run.dataset_options)


def origin_of_data(data: Data, settings: Settings) -> DataOrigin:
    """What identifies these data, for results, checkpoints and messages."""
    return DataOrigin(data.name, data.fingerprint, str(data_root(settings.data_root)))


def check_start(parent: Run, study: str, settings: Settings, data: Data) -> None:
    """Raises OtherData where a stored dense training was computed on other data: its specification does not show it."""
    folder = Store(settings.results).folder(study, parent)
    result = folder.read_result() if is_done(folder) else None
    if result is not None:
        check_parent(result, folder.path, origin_of_data(data, settings))
