"""What `submit --dry-run` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..runs.number_of import number_of
from .browse import describe_run
from .options import say

if TYPE_CHECKING:
    from ...slurm.cluster_profile import Profile
    from ...slurm.submit import Planned
    from ..studies.load import Study


def print_planned(study: Study, arrays: Sequence[Planned], profile: Profile) -> None:
    """The batch scripts on stdout; on stderr which element of an array computes which runs, and totals."""
    for array in arrays:
        print(array.script)
    for array in arrays:
        for index, runs in enumerate(array.elements):
            say(f"{array.name}[{index}]: {'; '.join(describe_run(run, study.labels_of_runs) for run in runs)}")
    elements = [runs for array in arrays for runs in array.elements]
    runs, jobs = number_of(sum(map(len, elements)), "run"), number_of(len(elements), "job")
    say(f"{study.name}: {runs} as {jobs} in {number_of(len(arrays), 'array')}")
    if elements:
        hours = len(elements) * profile.minutes / 60
        say(f"each job asks for {_asked(profile)}; all together for at most {hours:.3g} job-hours, requeues apart")


def _asked(profile: Profile) -> str:
    """What one job of a profile requests."""
    gpus = profile.gres or number_of(profile.gpus_per_run, "GPU")
    memory = f", {profile.memory} of memory on each node" if profile.memory else ""
    cpus = number_of(profile.num_tasks * profile.cpus_per_task, "CPU")
    return f"{number_of(profile.nodes_per_run, 'node')}, {cpus}, {gpus}{memory}, {profile.minutes} minutes"
