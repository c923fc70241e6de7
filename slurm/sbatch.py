"""Submits one array; tries again if the controller does not answer, but not if it refuses."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from submitit.core.utils import FailedJobError, FailedSubmissionError

from ..benchmark.api.errors import UserError
from .cluster_profile import Profile
from .commands import SlurmError, call
from .executor import complaint, make_executor, submission_environment
from .job import RunTask
from .user import user_name

RETRY_SECONDS = (5.0, 20.0, 60.0)
"""Pauses between attempts: a controller that restarts is unreachable for seconds, a busy one for minutes."""


def send(
    folder: Path, jobs: Sequence[RunTask], profile: Profile, name: str, after: str | None, say: Callable[[str], None]
) -> str:
    """Submit one array; returns its job id. Raises UserError with the message of sbatch."""
    folder.mkdir(mode=0o700)
    for pause in (*RETRY_SECONDS, None):
        executor = make_executor(folder, profile, name, after)
        try:
            with submission_environment():
                return executor.submit_array(jobs)[0].job_id.split("_")[0]
        except (FailedJobError, FailedSubmissionError, subprocess.SubprocessError) as error:
            reason = complaint(error)
            _cancel_by_name(name)
            if pause is None or not _may_pass(reason):
                raise UserError(f"sbatch refused the array {name}: {reason}") from error
            say(f"sbatch: {reason}; next attempt in {pause:g} s")
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _cancel_by_name(name: str) -> None:
    """Cancel an array whose job id is unknown: the controller may have accepted it before sbatch was stopped."""
    try:
        # scancel finds no user without a name; the array's name is unique anyway.
        mine = [f"--user={os.getuid()}"] if user_name() is not None else []
        call(["scancel", *mine, f"--name={name}"])
    except SlurmError:
        # The controller did not accept the array either; if it did, its jobs find no pickle and end.
        return


def _may_pass(reason: str) -> bool:
    """Whether the controller has a problem, not the array."""
    passing = ("unable to contact", "did not answer", "timed out", "temporarily unable", "connection refused",
               "zero bytes", "try again")  # fmt: skip
    return any(sign in reason.lower() for sign in passing)
