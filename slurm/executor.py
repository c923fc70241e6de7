"""submitit's SLURM executor with the parameters of a profile; it always submits an array."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from submitit.core.core import Job
from submitit.core.utils import DelayedSubmission
from submitit.slurm.slurm import SlurmExecutor, SlurmJob

from .cluster_profile import Profile
from .commands import clean_environment

SBATCH_SECONDS = 60
"""sbatch blocks while the controller's job table is full; after this time it is stopped."""

# submitit counts signals as time-outs if the limit is under ten minutes. Requeues are limited by max_requeues, so
# submitit's own limit must never be reached.
_NO_LIMIT = 1_000_000


def parameters_of(profile: Profile, name: str, after: str | None) -> dict[str, Any]:
    """submitit's parameters for an array, in place of all its defaults."""
    extra: dict[str, Any] = {"requeue": True, **profile.sbatch}
    before, after_srun = profile.lines_around_srun
    parameters: dict[str, Any] = {
        "job_name": name,
        "time": profile.minutes,
        "signal_delay_s": profile.signal_before,
        "array_parallelism": profile.array_parallelism,
        "wckey": None,
        "stderr_to_stdout": True,
        "nodes": profile.nodes_per_run,
        "ntasks_per_node": profile.num_tasks // profile.nodes_per_run,
        "cpus_per_task": profile.cpus_per_task,
        "mem": profile.memory,
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "gres": profile.gres,
        # Without the first, newer srun gives a task one CPU. The second ends a distributed run when a process died.
        "srun_args": [f"--cpus-per-task={profile.cpus_per_task}", "--kill-on-bad-exit=1"],
        "setup": before or None,
        "teardown": after_srun or None,
        "dependency": None if after is None else f"afterany:{after}",
        "additional_parameters": extra,
    }
    if profile.gpus_per_run and profile.gres is None:
        parameters["gpus_per_node"] = profile.gpus_per_run // profile.nodes_per_run
    return {key: value for key, value in parameters.items() if value is not None or key == "wckey"}


class ArrayExecutor(SlurmExecutor):
    """Submits jobs as one array, even a single job, so that all job ids have the same form.

    submitit's own array submission uses a plain SlurmExecutor, which would not call the methods of this class.
    """

    @classmethod
    def affinity(cls) -> int:
        # A dry run also works where there is no SLURM.
        return 2

    def _internal_process_submissions(self, delayed_submissions: Sequence[DelayedSubmission]) -> list[Job[Any]]:
        pickles = []
        for delayed in delayed_submissions:
            path = self.folder / f"{uuid.uuid4().hex}.pkl"
            delayed.set_timeout(self.parameters["time"], _NO_LIMIT)
            delayed.dump(path)
            pickles.append(path)
        self.parameters["map_count"] = len(delayed_submissions)
        first: Job[Any] = self._submit_command(self._submitit_command_str)
        jobs = [SlurmJob(self.folder, f"{first.job_id}_{index}") for index in range(len(delayed_submissions))]
        for job, path in zip(jobs, pickles, strict=True):
            job.paths.move_temporary_file(path, "submitted_pickle")
        return list(jobs)

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["timeout", f"{SBATCH_SECONDS}", "sbatch", str(submission_file_path)]

    def script(self, num_elements: int) -> str:
        """The batch script as it would be submitted."""
        self.parameters["map_count"] = num_elements
        return self._make_submission_file_text(self._submitit_command_str, "")


def make_executor(folder: Path, profile: Profile, name: str, after: str | None) -> ArrayExecutor:
    executor = ArrayExecutor(folder, python=profile.python_command)
    executor.parameters = parameters_of(profile, name, after)
    return executor


@contextlib.contextmanager
def submission_environment() -> Iterator[None]:
    """Remove what a surrounding job has set: jobs inherit the environment of sbatch."""
    saved = dict(os.environ)
    clean = clean_environment(saved)
    try:
        for name in saved.keys() - clean.keys():
            del os.environ[name]
        yield
    finally:
        os.environ.update(saved)


def complaint(error: Exception) -> str:
    """The error message of sbatch, in one line."""
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines) or f"sbatch did not answer within {SBATCH_SECONDS} s"
