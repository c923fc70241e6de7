"""All submissions of a study or of a results folder, readable or damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..benchmark.api.errors import Damaged
from .submission import Manifest, Task, age, find_submissions, read_manifest, tasks_of

Note = Callable[[Damaged], None]
"""Called with each file that cannot be read."""


@dataclass(frozen=True)
class Submissions:
    """Submissions whose manifest could be read, oldest first, and the folders of the others."""

    read: tuple[tuple[Path, Manifest], ...]
    damaged: tuple[Path, ...]


def read_submissions(results: Path, note: Note, study: str = "*") -> Submissions:
    """The submissions of a study, or of all studies. `note` is called with files that cannot be read."""
    found: list[tuple[Path, Manifest]] = []
    damaged: list[Path] = []
    for folder in results.glob(f"{study}/submissions"):
        if not folder.is_dir():
            note(Damaged(folder, "it is a file, not a folder"))
    for path in find_submissions(results, study):
        try:
            found.append((path, read_manifest(path)))
        except Damaged as error:
            note(error)
            damaged.append(path)
    return Submissions(tuple(sorted(found, key=age)), tuple(damaged))


def next_order(submissions: Submissions) -> int:
    """The `order` of a new submission; call it only while no other submission is at work."""
    return max((manifest.order for _, manifest in submissions.read), default=0) + 1


def find_logs(submissions: Submissions, run_id: str) -> list[Path]:
    """Logs of all jobs that a run was submitted with, oldest first, by rank."""
    return [path for task in _all_tasks(submissions) if run_id in task.run_ids for path in task.log_paths]


def find_submitted(submissions: Submissions, beginning: str) -> set[str]:
    """Ids of all submitted runs that begin with `beginning`."""
    return {run_id for task in _all_tasks(submissions) for run_id in task.run_ids if run_id.startswith(beginning)}


def _all_tasks(submissions: Submissions) -> Iterator[Task]:
    """Oldest first."""
    for submission, manifest in submissions.read:
        yield from tasks_of(submission, manifest)
