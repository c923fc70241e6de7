"""Records of submissions and their jobs: a private folder for each submission, JSON files written atomically.

    ROOT/<study>/submissions/<number>-<token>/
        manifest.json            profile, revision, and for each array its job id and the runs of its elements
        tasks/002-0013.json      written by the job of element 13 of array 2: starts, outcomes, the end
        002-after-<parent>/      the array's folder: batch script, pickles, logs

The folder is closed to other users (mode 0700): whoever can write a pickle can run code as its reader.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..benchmark.api.errors import Damaged
from ..benchmark.runs.files import read_typed, write_json

SCHEMA = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class ArrayRecord:
    """A submitted array. `job` is None until the controller has accepted it; the name is unique."""

    name: str
    folder: str
    after: str | None
    elements: tuple[tuple[str, ...], ...]
    job: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A submission. `begin` is in seconds since the epoch; `code` is the digest of the code at that time.

    `order` counts the submissions of a results folder, independent of clocks; 0 in manifests of older versions, which
    come first, ordered by `begin`.
    """

    study: str
    begin: float
    profile: dict[str, Any]
    command: list[str]
    revision: str | None
    code: str
    arrays: tuple[ArrayRecord, ...] = ()
    cancelled: float | None = None
    order: int = 0
    schema: int = SCHEMA


@dataclass(frozen=True)
class Task:
    """One element of an array, with its place in the submission and its runs."""

    submission: Path
    array: ArrayRecord
    number: int
    index: int

    @property
    def run_ids(self) -> tuple[str, ...]:
        return self.array.elements[self.index]

    @property
    def job(self) -> str | None:
        """`<array job>_<index>`, as SLURM shows it."""
        return None if self.array.job is None else f"{self.array.job}_{self.index}"

    @property
    def log_path(self) -> Path:
        """The log of the job; of rank 0 if it has several processes."""
        return self._log_of("0")

    @property
    def log_paths(self) -> list[Path]:
        """The logs of all processes of the job; the first also has the output of the batch script."""
        return sorted(self._log_of("0").parent.glob(self._log_of("*").name), key=lambda path: (len(path.name), path))

    def _log_of(self, rank: str) -> Path:
        return self.submission / self.array.folder / f"{self.job}_{rank}_log.out"

    @property
    def record_path(self) -> Path:
        return task_record_path(self.submission, self.number, self.index)

    def record(self) -> TaskRecord:
        return read_task_record(self.record_path)


@dataclass(kw_only=True)
class TaskRecord:
    """What a job records: each start, the outcome of each run, and how the job ended.

    `outcomes` maps run ids to `{"outcome": ..., "reason": ...}`; `end` is None while the job runs, or if it was killed
    without warning.
    """

    starts: list[dict[str, Any]] = field(default_factory=list)
    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)
    end: float | None = None
    ending: str = ""
    schema: int = SCHEMA

    @property
    def requeues(self) -> int:
        return max(0, len(self.starts) - 1)

    @property
    def code_changed(self) -> bool:
        """Whether the code at a start was other than at the submission."""
        return any(start.get("code_changed", False) for start in self.starts)


def task_record_path(submission: Path, number: int, index: int) -> Path:
    return submission / "tasks" / f"{number:03d}-{index:04d}.json"


def read_task_record(path: Path) -> TaskRecord:
    """The record; empty if the job has not started. Raises Damaged."""
    from .stored_types import StoredTaskRecord

    try:
        return TaskRecord(**_known(TaskRecord, read_typed(path, StoredTaskRecord)))
    except FileNotFoundError:
        _check_folder(path.parent)
        return TaskRecord()


def _check_folder(path: Path) -> None:
    """Raises Damaged if it is a file: nothing can be written there."""
    if path.exists() and not path.is_dir():
        raise Damaged(path, "it is a file, not a folder")


def _known(kind: type, content: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the fields of a dataclass; another version of the suite may have written more."""
    return {part.name: content[part.name] for part in fields(kind) if part.name in content}


def write_task_record(path: Path, record: TaskRecord) -> None:
    write_json(path, asdict(record))


def submissions_folder(results: Path, study: str) -> Path:
    return results / study / "submissions"


def new_submission(results: Path, study: str) -> Path:
    """Make a private folder with the next free number; its token makes names of jobs unique among results folders."""
    folder = submissions_folder(results, study)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    number = max((_number_of(path) for path in folder.iterdir()), default=0) + 1
    path = folder / f"{number:04d}-{secrets.token_hex(3)}"
    path.mkdir(mode=0o700)
    return path


def write_manifest(submission: Path, manifest: Manifest) -> None:
    write_json(submission / MANIFEST, asdict(manifest))


def read_manifest(submission: Path) -> Manifest:
    """Raises Damaged, also if the manifest is missing."""
    from .stored_types import StoredManifest

    path = submission / MANIFEST
    try:
        content = read_typed(path, StoredManifest)
    except FileNotFoundError:
        _check_folder(submission)
        raise Damaged(path, "it is missing") from None
    arrays = tuple(_array_record(record) for record in content["arrays"])
    return Manifest(**{**_known(Manifest, content), "arrays": arrays})


def _array_record(content: Mapping[str, Any]) -> ArrayRecord:
    elements = tuple(tuple(runs) for runs in content["elements"])
    return ArrayRecord(**{**_known(ArrayRecord, content), "elements": elements})


def _number_of(submission: Path) -> int:
    """The number at the beginning of the folder's name; 0 if it is not the folder of a submission."""
    number, _, token = submission.name.partition("-")
    return int(number) if number.isdecimal() and token else 0


def find_submissions(results: Path, study: str = "*") -> list[Path]:
    """Folders of the submissions of a study, or of all studies; those of one study oldest first.

    Folders that were just made, and have no manifest yet, are left out.
    """
    found = [path for path in results.glob(f"{study}/submissions/[0-9]*-*") if _number_of(path) and _has_begun(path)]
    return sorted(found, key=lambda path: (path.parent, _number_of(path)))


def _has_begun(submission: Path) -> bool:
    return not submission.is_dir() or any(not path.name.startswith(".") for path in submission.iterdir())


def beginning_of_names(submission: Path) -> str:
    """The prefix of the names of all jobs of a submission, and of no other job."""
    return f"{submission.parent.parent.name}.{submission.name}."


def tasks_of(submission: Path, manifest: Manifest) -> Iterator[Task]:
    for number, array in enumerate(manifest.arrays):
        for index in range(len(array.elements)):
            yield Task(submission, array, number, index)


def age(submission: tuple[Path, Manifest]) -> tuple[int, float]:
    """Sort key for submissions of all studies, oldest first."""
    return submission[1].order, submission[1].begin


def newest_task_by_run(
    submissions: Iterable[tuple[Path, Manifest]], study: str, shared: Collection[str]
) -> dict[str, Task]:
    """For each run of a study the job that it was last submitted with.

    Only runs in `shared`, the dense trainings, may be in another study's submission: each study computes its other runs
    itself, even if two studies have the same run.
    """
    found: dict[str, Task] = {}
    for submission, manifest in sorted(submissions, key=age):
        for task in tasks_of(submission, manifest):
            own = [run_id for run_id in task.run_ids if manifest.study == study or run_id in shared]
            found |= dict.fromkeys(own, task)
    return found
