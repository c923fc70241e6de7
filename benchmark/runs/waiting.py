"""Which runs a `run` command still has to compute, noted in the results folder as long as the command lives.

ROOT/<study>/waiting/<token>/    claim.json, renewed by the command, and runs.json
"""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .claim import Claim, describe, holder
from .files import write_atomically

FOLDER = "waiting"


@dataclass(frozen=True)
class Waiting:
    """The runs of one command, done or not, the workers that it has, and its process in words."""

    run_ids: frozenset[str]
    num_workers: int
    process: str


@contextlib.contextmanager
def noted(study_folder: Path, run_ids: Iterable[str], num_workers: int) -> Iterator[None]:
    """Note the runs of this process, and remove what killed ones noted.

    Only `status` reads it: where nothing can be written, on a full disk, the runs are computed all the same.
    """
    folder = study_folder / FOLDER / uuid.uuid4().hex
    claim = None
    with contextlib.suppress(OSError):
        for other in _folders(study_folder):
            if holder(other) is None:
                shutil.rmtree(other)
        claim = Claim.take(folder)
        write_atomically(folder / "runs.json", json.dumps({"runs": sorted(run_ids), "workers": num_workers}))
    try:
        yield
    finally:
        if claim is not None:
            claim.release()
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def waiting(study_folder: Path) -> list[Waiting]:
    """What living processes have noted."""
    found = []
    for folder in _folders(study_folder):
        held = holder(folder)
        # It may end, or be between its two files.
        with contextlib.suppress(OSError, ValueError, KeyError):
            content = json.loads((folder / "runs.json").read_text(encoding="utf-8"))
            if held:
                found.append(Waiting(frozenset(content["runs"]), content["workers"], describe(held)))
    return found


def _folders(study_folder: Path) -> list[Path]:
    return sorted((study_folder / FOLDER).glob("*/"))
