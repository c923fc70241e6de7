"""How many jobs the controller accepts, by the profile and by the cluster's own settings."""

from __future__ import annotations

import re

from .cluster_profile import Profile
from .commands import SlurmError, call
from .job_arrays import Limits
from .user import user_name

DEFAULT_MAX_ARRAY_SIZE = 1001
"""SLURM's default, if the cluster's settings do not have it."""


def find_limits(profile: Profile, num_queued: int) -> Limits:
    """Raises SlurmError if the controller does not answer; without accounting there is no limit for the user."""
    settings = controller_settings()
    # MaxArraySize is one more than the largest index; indices start at 0, so it is the number of elements.
    array_size = _smallest(profile.max_array_size, _number(settings.get("MaxArraySize")))
    max_jobs = _smallest(profile.max_submit, user_limit(profile), _number(settings.get("MaxJobCount")))
    return Limits(
        runs_per_job=profile.runs_per_job,
        max_array_size=array_size or DEFAULT_MAX_ARRAY_SIZE,
        room=None if max_jobs is None else max(0, max_jobs - num_queued),
    )


def controller_settings() -> dict[str, str]:
    """The controller's configuration, as `scontrol show config` prints it."""
    pairs = (line.partition("=") for line in call(["scontrol", "show", "config"]).splitlines())
    return {key.strip(): value.strip() for key, separator, value in pairs if separator}


def user_limit(profile: Profile) -> int | None:
    """MaxSubmitJobs of the user's association and of the QOS; None if there is no limit or no accounting.

    The accounting finds no user without a name.
    """
    user = user_name()
    try:
        association = call(["sacctmgr", "-n", "-P", "show", "assoc", *_association(profile, user)]) if user else ""
        quality = call(["sacctmgr", "-n", "-P", "show", "qos", "format=Name,MaxSubmitPU"]) if profile.qos else ""
    except SlurmError:
        return None
    numbers = [_number(line) for line in association.splitlines()]
    for line in quality.splitlines():
        name, _, limit = line.partition("|")
        if name == profile.qos:
            numbers.append(_number(limit))
    return _smallest(*numbers)


def _association(profile: Profile, user: str) -> list[str]:
    account = [f"account={profile.account}"] if profile.account else []
    return ["where", f"user={user}", *account, "format=MaxSubmitJobs"]


def _number(text: str | None) -> int | None:
    match = re.match(r"\d+", (text or "").strip())
    return int(match.group()) if match else None


def _smallest(*numbers: int | None) -> int | None:
    known = [number for number in numbers if number is not None]
    return min(known) if known else None
