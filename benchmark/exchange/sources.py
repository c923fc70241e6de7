"""Finds what to merge: the results of a results folder, or the records in a folder. Each is checked when it is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api.errors import Damaged, UserError
from ..runs.claim import describe, holder
from ..runs.files import FROM_RECORD
from ..runs.run import Run, from_dict
from ..runs.run_folder import RunFolder
from ..runs.store import RESERVED
from .pairs import PairSource, pair_files, read_pair_source
from .records import Epochs, read_record

RUN_FOLDER = re.compile(r"[0-9a-f]{12}")
RECORD_FILE = re.compile(r"([0-9a-f]{12})\.json")
STUDY_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Source:
    """A result that may be merged. `history`: the epochs of a record; None for the folder of a run."""

    study: str
    run: Run
    result: Mapping[str, Any]
    path: Path
    history: Epochs | None = None

    @property
    def files(self) -> Mapping[str, Any]:
        """What the result says of its weights and masks, by name of the file."""
        return self.result.get("files", {})

    @property
    def has_files(self) -> bool:
        """Whether weights and masks are stored beside the result."""
        return self.history is None and not self.result.get(FROM_RECORD)


@dataclass
class Found:
    """The results below one folder, and what was left out: damaged files, runs in progress, runs without a result.

    `pairs`: what was measured between two runs.
    """

    root: Path
    sources: list[Source] = field(default_factory=list)
    pairs: list[PairSource] = field(default_factory=list)
    damaged: dict[Path, str] = field(default_factory=dict)
    running: dict[Path, str] = field(default_factory=dict)
    num_without_result: int = 0


def read_sources(root: Path) -> Found:
    """All results and records under a results folder, a study's folder, or a folder of records.

    Raises UserError if there is none, or if a file is of another version of the format.
    """
    if not root.is_dir():
        raise UserError(f"no folder {root} of results or records")
    found = Found(root)
    for path in _candidates(root):
        try:
            source = _read(path, found)
        except Damaged as error:
            found.damaged[error.path] = error.reason
            continue
        if source is not None:
            found.sources.append(source)
    for path in pair_files(root.absolute()):
        try:
            found.pairs.append(read_pair_source(path, _checked_study))
        except Damaged as error:
            found.damaged[error.path] = error.reason
    if not (found.sources or found.damaged or found.running or found.num_without_result):
        raise UserError(f"{root} has neither results (dense/, STUDY/runs/) nor records (RUN.json) in it")
    return found


def _candidates(root: Path) -> Iterator[Path]:
    """Run folders and records; dense trainings come before the runs that start from them."""
    absolute = root.absolute()
    for folder in (absolute / "dense", absolute, absolute / "runs", *sorted(absolute.glob("*/runs"))):
        for name in sorted(os.listdir(folder)) if folder.is_dir() else ():  # noqa: PTH208  thousands of them
            if RUN_FOLDER.fullmatch(name) or RECORD_FILE.fullmatch(name):
                yield folder / name


def _read(path: Path, found: Found) -> Source | None:
    if path.suffix:
        result, history = read_record(path)
        run = _described(result, path, path.stem)
        return Source(_study_of(result, run, path), run, result, path, history)
    folder = RunFolder(path)
    held = holder(path)
    if held is not None:
        found.running[path] = describe(held)
        return None
    result = folder.read_result()
    if result is None:
        found.num_without_result += 1
        return None
    run = _described(result, folder.result_path, path.name)
    if not result.get(FROM_RECORD):
        folder.check_stored()
    return Source("dense" if run.is_dense else folder.study, run, result, path)


def run_of(result: Mapping[str, Any], path: Path) -> Run:
    """The run of a result. Raises Damaged, naming the result's `path`, where it has fields that are not known here."""
    try:
        return from_dict(result["run"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise Damaged(path, f"it does not describe a run of this version ({error})") from error


def _described(result: Mapping[str, Any], path: Path, run_id: str) -> Run:
    """The run of a result. Raises Damaged if its id is not that of the file's name."""
    run = run_of(result, path)
    if not run.id == result["id"] == run_id:
        raise Damaged(path, f"it describes run {run.id}, names {result['id']} and lies under {run_id}")
    return run


def _study_of(result: Mapping[str, Any], run: Run, path: Path) -> str:
    """The study of a record. Its name becomes that of a folder, so it is checked."""
    if run.is_dense:
        return "dense"
    return _checked_study(result.get("study"), path)


def _checked_study(name: object, path: Path) -> str:
    if not isinstance(name, str) or not STUDY_NAME.fullmatch(name) or name in RESERVED:
        raise Damaged(path, f"study: {name!r} is no name of a study")
    return name
