"""Take a study's jobs out of the queue, and clear away what finished submissions have left."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..benchmark.errors import DataMissing
from ..benchmark.store import now
from .commands import SlurmError, call
from .queue import Queued, ask_queue, forget
from .submission import Manifest, find_submissions, read_manifest, write_manifest
from .turn import clearing


@dataclass(frozen=True)
class Cancelled:
    """Arrays that were cancelled, and how many jobs of them waited or ran."""

    arrays: tuple[str, ...]
    num_jobs: int


def cancel(study: str, results: Path) -> Cancelled:
    """Cancel exactly the jobs that were submitted for this study. Raises DataMissing where the queue is silent, and
    UserError while a submission is at work, which would go on to queue jobs.

    Whole arrays are cancelled: a single job that is cancelled while it waits leaves no trace in the accounting. The
    manifest notes it, so that `status` can tell a cancelled run from a lost one; on a full disk it cannot.
    """
    with clearing(results):
        return _cancel(study, results)


def _cancel(study: str, results: Path) -> Cancelled:
    queued = _ask()
    found = [(path, read_manifest(path)) for path in find_submissions(results, study)]
    arrays: list[str] = []
    num_jobs = 0
    for path, manifest in found:
        jobs = jobs_in_queue(manifest, queued)
        if jobs:
            with contextlib.suppress(OSError):
                write_manifest(path, replace(manifest, cancelled=now()))
            arrays += sorted({job.split("_")[0] for job in jobs})
            num_jobs += len(jobs)
    if arrays:
        try:
            call(["scancel", *arrays])
        except SlurmError as error:
            raise DataMissing(f"cannot cancel: {error}") from error
        forget(results)
    return Cancelled(tuple(arrays), num_jobs)


def jobs_in_queue(manifest: Manifest, queued: dict[str, Queued]) -> list[str]:
    """Jobs of a submission that are not finished; by their unique names, because ids are used again."""
    names = {array.name for array in manifest.arrays}
    return [job for job, entry in queued.items() if entry.name in names]


def clean(study: str, results: Path) -> list[Path]:
    """Remove logs, pickles and records of the study's submissions that have no job in the queue. Results stay.

    Raises UserError while a submission is at work: its first array may not be in the queue yet.
    """
    removed = []
    with clearing(results):
        submissions = find_submissions(results, study)
        queued = _ask() if submissions else {}
        for path in _finished(submissions, queued):
            shutil.rmtree(path)
            removed.append(path)
    return removed


def _finished(submissions: Iterable[Path], queued: dict[str, Queued]) -> list[Path]:
    return [path for path in submissions if not jobs_in_queue(read_manifest(path), queued)]


def _ask() -> dict[str, Queued]:
    try:
        return ask_queue()
    except SlurmError as error:
        raise DataMissing(f"cannot ask the queue: {error}") from error
