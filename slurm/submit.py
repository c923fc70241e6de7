"""Submit the missing runs of a study as job arrays, and return at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..benchmark.api.errors import DataMissing, UserError
from ..benchmark.runs.claim import Claim
from ..benchmark.runs.damage import clear_folder
from ..benchmark.runs.files import now
from ..benchmark.runs.provenance import revision
from ..benchmark.runs.run import Run, to_dict
from ..benchmark.runs.settings import Settings
from ..benchmark.runs.store import Store
from ..datasets.parts.roots import data_root
from .cluster_profile import Profile
from .code_digest import code_digest
from .collection import next_order, read_submissions
from .commands import SlurmError, call
from .job import RunTask
from .job_arrays import Array, Element, Limits, Place, arrange
from .limits import DEFAULT_MAX_ARRAY_SIZE, find_limits
from .paths import check_path
from .select_runs import Choice
from .squeue import ask_queue, forget
from .submission import (
    ArrayRecord,
    Manifest,
    beginning_of_names,
    new_submission,
    submissions_folder,
    task_record_path,
    write_manifest,
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A submission: ids of its arrays, the number of jobs in them, and its folder."""

    arrays: tuple[str, ...]
    num_jobs: int
    folder: Path


def submit(
    study: str, choice: Choice, settings: Settings, profile: Profile, turn: Claim, say: Callable[[str], None]
) -> Outcome:
    """Submit all runs of a choice. Raises UserError or DataMissing with SLURM's message; accepted arrays stay queued.

    `turn` comes from `submitting`. Raises ClaimLost before the next array if it was lost: on another machine a
    submission that hung for minutes looks dead, and its jobs may be cancelled already.

    The manifest is written before the first array and after each one: if the submission is killed in between, it can
    still be read, and an array without a job id is found by its name.
    """
    settings = replace(settings, results=check_path(settings.results))
    profile = profile.showing(_shown_paths(choice.runs, settings))
    _take_back(choice.replaced, say)
    arrays = arrange(choice.runs, choice.queued, _limits(profile))
    store = Store(settings.results)
    order = next_order(read_submissions(settings.results, store.note))
    clear_folder(submissions_folder(settings.results, study), say)
    folder = new_submission(settings.results, study)
    manifest = _manifest(study, folder, arrays, settings, profile, order)
    write_manifest(folder, manifest)
    (folder / "tasks").mkdir(mode=0o700)
    try:
        for number, array in enumerate(arrays):
            tasks = [
                RunTask(_order(runs, task_record_path(folder, number, index), manifest, settings, profile))
                for index, runs in enumerate(array.elements)
            ]
            turn.check()
            sent = _send(folder, number, tasks, _job_of(array.after, manifest.arrays), manifest, profile, say)
            turn.check()
            manifest = replace(manifest, arrays=(*manifest.arrays[:number], sent, *manifest.arrays[number + 1 :]))
            write_manifest(folder, manifest)
    finally:
        forget(settings.results)
    return Outcome(
        arrays=tuple(str(record.job) for record in manifest.arrays),
        num_jobs=sum(len(record.elements) for record in manifest.arrays),
        folder=folder,
    )


def _take_back(jobs: Sequence[str], say: Callable[[str], None]) -> None:
    """Cancel the jobs that are replaced. One that has just begun finds its runs blocked or done."""
    if not jobs:
        return
    try:
        call(["scancel", "--state=PENDING", *jobs])
    except SlurmError as error:
        say(f"{len(jobs)} jobs whose dense training did not end well stay in the queue: {error}")


def _send(
    folder: Path, number: int, tasks: Sequence[RunTask], after: str | None, manifest: Manifest, profile: Profile,
    say: Callable[[str], None],
) -> ArrayRecord:  # fmt: skip
    from .sbatch import send

    record = manifest.arrays[number]
    try:
        job = send(folder / record.folder, tasks, profile, record.name, after, say)
    except UserError as error:
        rest = f"; the {number} arrays before it are queued, submit again for the rest" if number else ""
        raise UserError(f"{error}{rest}") from error
    return replace(record, job=job, after=after)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """An array that `submit` would send: the runs of each element by index, and its batch script."""

    name: str
    elements: tuple[Element, ...]
    script: str


def dry_run(study: str, choice: Choice, settings: Settings, profile: Profile) -> list[Planned]:
    """The arrays that `submit` would send; nothing is written or submitted."""
    from .executor import make_executor

    profile = profile.showing(_shown_paths(choice.runs, settings))
    try:
        limits = _limits(profile)
    except DataMissing:
        # Scripts can be printed where there is no SLURM.
        limits = Limits(
            runs_per_job=profile.runs_per_job,
            max_array_size=profile.max_array_size or DEFAULT_MAX_ARRAY_SIZE,
            room=profile.max_submit,
        )
    arrays = arrange(choice.runs, choice.queued, limits)
    folder = settings.results / study / "submissions" / "NUMBER"
    planned = []
    for number, array in enumerate(arrays):
        after = array.after
        if isinstance(after, Place):
            after = f"JOB_OF_{arrays[after.array].name}_{after.element}"
        executor = make_executor(folder / _folder_name(number, array), profile, _job_name(folder, array), after)
        script = executor.script(len(array.elements))
        planned.append(Planned(name=array.name, elements=tuple(array.elements), script=script))
    return planned


def _limits(profile: Profile) -> Limits:
    try:
        return find_limits(profile, len(ask_queue()))
    except SlurmError as error:
        raise DataMissing(f"cannot submit: {error}") from error


def _manifest(
    study: str, folder: Path, arrays: Sequence[Array], settings: Settings, profile: Profile, order: int
) -> Manifest:
    return Manifest(
        study=study,
        begin=now(),
        profile=profile.model_dump(),
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        revision=revision(),
        code=code_digest(settings.plugins),
        order=order,
        arrays=tuple(
            ArrayRecord(
                name=_job_name(folder, array),
                folder=_folder_name(number, array),
                after=None,
                elements=tuple(tuple(run.id for run in element) for element in array.elements),
            )
            for number, array in enumerate(arrays)
        ),
    )


def _shown_paths(runs: Sequence[Run], settings: Settings) -> Iterator[Path]:
    """What a job reads and writes, as this machine sees it: a container must show it.

    One by one, since nothing of it is looked up without a container: a user may have no home folder for the data root.
    """
    root = data_root(settings.data_root)
    files = [Path(path) for path in settings.plugins]
    stored = [dict(run.model_options).get("weights") for run in runs]
    files += [Path(weights) for weights in stored if isinstance(weights, str) and Path(weights).is_file()]
    yield from (settings.results, *([root] if root.is_dir() else []), *(path.expanduser().parent for path in files))


def _folder_name(number: int, array: Array) -> str:
    return f"{number:03d}-{array.name}"


def _job_name(folder: Path, array: Array) -> str:
    return f"{beginning_of_names(folder)}{array.name}"


def _job_of(after: Place | str | None, records: Sequence[ArrayRecord]) -> str | None:
    return f"{records[after.array].job}_{after.element}" if isinstance(after, Place) else after


def _order(runs: Element, record: Path, manifest: Manifest, settings: Settings, profile: Profile) -> str:
    """The order of a job as text: the pickle contains nothing of the suite but this and the name of RunTask."""
    order: dict[str, Any] = {
        "study": manifest.study,
        "runs": [to_dict(run) for run in runs],
        "settings": {
            **vars(settings),
            "results": str(settings.results),
            "data_root": None if settings.data_root is None else str(settings.data_root.absolute()),
        },
        "record": str(record),
        "workers": profile.runs_per_job,
        "num_tasks": profile.num_tasks,
        "requeued_from_outside": profile.container is not None,
        "max_requeues": profile.max_requeues,
        "warning_seconds": profile.signal_before,
        "revision": manifest.revision,
        "code": manifest.code,
    }
    return json.dumps(order)
