"""Check a profile against the cluster before anything is queued."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..benchmark.api.errors import UserError
from ..benchmark.launch.durations import seconds_of
from ..benchmark.runs.gpus import MPS_TEXTS
from .ask_node import CannotStart, ask_node
from .cluster_profile import Profile
from .code_digest import code_digest
from .commands import SlurmError, call
from .limits import controller_settings, find_limits
from .paths import check_path
from .squeue import ask_queue
from .user import user_name

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "timeout")


@dataclass(frozen=True)
class Finding:
    """One check. `is_fine` is None if the check could not be made."""

    name: str
    is_fine: bool | None
    text: str


def examine(profile: Profile, results: Path, *, probe: bool = True) -> Iterator[Finding]:
    """All checks, cheapest first; stops where later ones would only fail for the same reason."""
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    if missing:
        yield Finding("commands", False, f"not found: {', '.join(missing)}")
        return
    try:
        settings = controller_settings()
    except SlurmError as error:
        yield Finding("controller", False, str(error))
        return
    yield Finding("controller", True, f"{settings.get('SLURM_VERSION', '?')}, {settings.get('ClusterName', '?')}")
    partition = list(_partition(profile))
    yield from partition
    if any(finding.is_fine is False for finding in partition):
        return
    yield _account(profile, settings)
    yield from _path(results)
    try:
        profile = profile.showing([results])
    except UserError as error:
        yield Finding("container", False, str(error))
        return
    yield _script(profile)
    yield _limits(profile)
    yield _preemption(profile, settings)
    yield _accounting()
    if probe:
        yield from _probe(profile, results)


def _partition(profile: Profile) -> Iterator[Finding]:
    name = f"partition {profile.partition or '(default)'}"
    try:
        lines = call(["sinfo", "--noheader", "--format=%P|%a|%l|%D"]).splitlines()
    except SlurmError as error:
        yield Finding(name, None, str(error))
        return
    rows = [row for line in lines if len(row := line.strip().split("|")) == 4 and row[3].isdecimal()]
    wanted = [row for row in rows if _is_wanted(row[0], profile.partition)]
    if not wanted:
        there = ", ".join(sorted({row[0].rstrip("*") for row in rows}))
        yield Finding(name, False, f"does not exist; there are: {there}")
        return
    state, limit, nodes = wanted[0][1], wanted[0][2], sum(int(row[3]) for row in wanted)
    yield Finding(name, state == "up", f"{state}, {nodes} nodes, time limit {limit}")
    yield _time_limit(profile, limit)


def _time_limit(profile: Profile, limit: str) -> Finding:
    """sbatch may accept a job over the limit, which then never starts."""
    try:
        is_short = limit == "infinite" or profile.time <= _seconds(limit)
    except ValueError:
        return Finding("time limit", None, f"{profile.minutes} minutes; not checked, sinfo says {limit!r}")
    return Finding("time limit", is_short, f"{profile.minutes} minutes of at most {limit}")


def _is_wanted(shown: str, partition: str | None) -> bool:
    return shown.endswith("*") if partition is None else shown.rstrip("*") in partition.split(",")


def _seconds(limit: str) -> int:
    """sinfo shows 5:00, 1:00:00 and 2-00:00:00."""
    return seconds_of(limit if limit.count(":") == 2 else f"0:{limit}")


def _account(profile: Profile, settings: dict[str, str]) -> Finding:
    user = user_name()
    if user is None:
        return Finding("account", None, f"not checked: user id {os.getuid()} has no name on this machine")
    query = ["sacctmgr", "-n", "-P", "show", "assoc", "where", f"user={user}", "format=Account,QOS"]
    try:
        rows = [line.split("|") for line in call(query).splitlines()]
    except SlurmError as error:
        return Finding("account", None, f"not checked: {error}")
    accounts = sorted({row[0] for row in rows})
    enforced = settings.get("AccountingStorageEnforce", "none") != "none"
    wrong = False if enforced else None
    if profile.account is not None and profile.account not in accounts:
        return Finding("account", wrong, f"{user} has no account {profile.account}; has: {', '.join(accounts) or '-'}")
    allowed = {name for row in rows if profile.account in (None, row[0]) for name in row[1].split(",")}
    if profile.qos is not None and profile.qos not in allowed:
        return Finding("account", wrong, f"{user} has no qos {profile.qos}; has: {', '.join(sorted(allowed)) or '-'}")
    return Finding("account", True, profile.account or f"the default one of {', '.join(accounts) or 'nobody'}")


def _script(profile: Profile) -> Finding:
    """Let the controller check the real batch script without queuing it."""
    from .executor import make_executor, submission_environment

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.sh"
        path.write_text(make_executor(Path(folder), profile, "prunebench-doctor", None).script(1), encoding="utf-8")
        try:
            with submission_environment():
                call(["sbatch", "--test-only", str(path)])
        except SlurmError as error:
            return Finding("batch script", False, str(error))
    return Finding("batch script", True, "accepted by sbatch --test-only")


def _limits(profile: Profile) -> Finding:
    try:
        limits = find_limits(profile, len(ask_queue()))
    except SlurmError as error:
        return Finding("limits", None, str(error))
    room = "any number of" if limits.room is None else str(limits.room)
    text = f"{limits.max_array_size} jobs an array, {room} more jobs of yours in the queue"
    return Finding("limits", limits.room is None or limits.room > 0, text)


def _preemption(profile: Profile, settings: dict[str, str]) -> Finding:
    try:
        shown = call(["scontrol", "show", "partition", *([profile.partition] if profile.partition else [])])
    except SlurmError as error:
        return Finding("preemption", None, str(error))
    values = {part.partition("=")[0]: part.partition("=")[2] for part in shown.split()}
    mode = values.get("PreemptMode", "OFF")
    if mode == "OFF":
        return Finding("preemption", True, "jobs of this partition are not preempted")
    warned = "preempt_send_user_signal" in settings.get("SlurmctldParameters", "")
    warning = "with a warning" if warned else "without a warning: what is lost is the running epoch"
    after = "and then requeued" if "REQUEUE" in mode else "and not requeued: submit again"
    return Finding("preemption", True, f"{mode}, grace time {values.get('GraceTime', '?')} s, {warning}, {after}")


def _accounting() -> Finding:
    try:
        call(["sacct", "-X", "-n", "-S", "now"])
    except SlurmError as error:
        return Finding("accounting", None, f"{error}; `status` works without, but cannot say why a job was killed")
    return Finding("accounting", True, "answers")


def _path(results: Path) -> Iterator[Finding]:
    """Problems with the path; whether nodes see the folder is checked by the probe."""
    try:
        check_path(results)
    except UserError as error:
        yield Finding("results folder", False, str(error))


def _probe(profile: Profile, results: Path) -> Iterator[Finding]:
    """Run a small job on a compute node, if one is free: does it see the results folder, the same code, a GPU?"""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=results, prefix=".doctor-") as token:
            seen = ask_node(profile, Path(token.name).absolute())
    except OSError as error:
        yield Finding("results folder", False, f"{results.absolute()}: {error.strerror}")
        return
    except SlurmError as error:
        yield Finding("compute node", None, f"no answer: {error}")
        return
    except CannotStart as error:
        yield Finding("compute node", False, f"{error}")
        return
    if profile.container is not None:
        yield Finding("container", True, f"{profile.container.image}, by {profile.container.engine}")
    yield Finding("compute node", True, f"{seen['host']}, Python {seen['python']}, torch {seen['torch']}")
    sees = seen["sees_results"] and seen["writes_results"]
    where = results.absolute()
    yield Finding("results folder", sees, f"{where} is {'shared' if sees else 'NOT seen or not writable on the node'}")
    same = seen["code"] == code_digest()
    yield Finding("code", same, "the same on the node" if same else "the node has other code than this machine")
    gpus = ", ".join(seen["gpus"]) or "none"
    needs_gpu = profile.gpus_per_run > 0 and profile.device != "cpu"
    yield Finding("CUDA", seen["cuda"] or not needs_gpu, f"GPUs that torch sees on the node: {gpus}")
    if profile.runs_per_job > 1 and needs_gpu:
        yield Finding("MPS", seen["mps"] or None, MPS_TEXTS[seen["mps"]])
