"""Cancel the jobs of a study, and remove the folders of finished submissions."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ..benchmark.api.errors import DataMissing
from ..benchmark.runs.files import now
from .collection import Note, Submissions, read_submissions
from .commands import SlurmError, call
from .squeue import Queued, ask_queue, forget
from .submission import Manifest, beginning_of_names, write_manifest
from .turn import clearing


@dataclass(frozen=True)
class Cancelled:
    """The cancelled arrays, and how many of their jobs waited or ran."""

    arrays: tuple[str, ...]
    num_jobs: int


def cancel(study: str, results: Path, note: Note) -> Cancelled:
    """Cancel exactly the jobs that were submitted for this study.

    Raises DataMissing if SLURM does not answer, and UserError during a submission, which would go on to queue jobs.

    Whole arrays are cancelled, because a single job that is cancelled while it waits does not appear in the accounting.
    The manifest records it, unless the disk is full, so that `status` can tell cancelled runs from lost ones. `note` is
    called with manifests that cannot be read; their jobs are found by the prefix of their names.
    """
    with clearing(results):
        return _cancel(study, results, note)


def _cancel(study: str, results: Path, note: Note) -> Cancelled:
    queued = _ask()
    submissions = read_submissions(results, note, study)
    jobs = [job for path in submissions.damaged for job in jobs_of_damaged(path, queued)]
    for path, manifest in submissions.read:
        found = jobs_in_queue(manifest, queued)
        if found:
            with contextlib.suppress(OSError):
                write_manifest(path, replace(manifest, cancelled=now()))
            jobs += found
    arrays = sorted({job.split("_")[0] for job in jobs}, key=int)
    if arrays:
        try:
            call(["scancel", *arrays])
        except SlurmError as error:
            raise DataMissing(f"cannot cancel: {error}") from error
        forget(results)
    return Cancelled(tuple(arrays), len(jobs))


def jobs_in_queue(manifest: Manifest, queued: dict[str, Queued]) -> list[str]:
    """Unfinished jobs of a submission, by their unique names, because job ids are used again."""
    names = {array.name for array in manifest.arrays}
    return [job for job, entry in queued.items() if entry.name in names]


def jobs_of_damaged(submission: Path, queued: dict[str, Queued]) -> list[str]:
    """Unfinished jobs of a submission whose manifest cannot be read."""
    beginning = beginning_of_names(submission)
    return [job for job, entry in queued.items() if entry.name.startswith(beginning)]


def clean(study: str, results: Path, note: Note) -> list[Path]:
    """Remove logs, pickles and records of the study's submissions without jobs in the queue. Results stay.

    Raises UserError during a submission, whose first array may not be in the queue yet. `note` is called with manifests
    that cannot be read; such a submission is removed like others.
    """
    removed = []
    with clearing(results):
        submissions = read_submissions(results, note, study)
        queued = _ask() if submissions.read or submissions.damaged else {}
        for path in _finished(submissions, queued):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            removed.append(path)
    return removed


def _finished(submissions: Submissions, queued: dict[str, Queued]) -> list[Path]:
    read = [path for path, manifest in submissions.read if not jobs_in_queue(manifest, queued)]
    return [*read, *(path for path in submissions.damaged if not jobs_of_damaged(path, queued))]


def _ask() -> dict[str, Queued]:
    try:
        return ask_queue()
    except SlurmError as error:
        raise DataMissing(f"cannot ask the queue: {error}") from error
