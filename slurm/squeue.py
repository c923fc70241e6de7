"""Jobs in the queue and in the accounting: one `squeue` and at most one `sacct`, cached for 30 seconds."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..benchmark.api.errors import Damaged
from ..benchmark.runs.files import read_json, write_json
from .commands import SlurmError, call
from .user import user_name

CACHE_SECONDS = 30.0
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT")
"""States of squeue in which a job has a node; jobs in other states wait."""


@dataclass(frozen=True)
class Queued:
    """A job that is not finished, as the controller shows it."""

    state: str
    reason: str
    name: str

    @property
    def is_running(self) -> bool:
        return self.state in RUNNING


@dataclass(frozen=True)
class Ended:
    """A job that has left the queue, as the accounting shows it."""

    state: str
    exit_code: str
    node: str
    name: str


@dataclass(kw_only=True)
class Snapshot:
    """The jobs at one time, by `<array job>_<index>`. `asked`: jobs that were looked up in the accounting.

    `queue_error` and `accounting_error` say why a part is unknown; that part is then empty.
    """

    time: float = 0.0
    queue: dict[str, Queued] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    queue_error: str = ""
    accounting_error: str = ""


_QUEUED = re.compile(r"(\d+)\|([^|]+)\|([^|]+)\|(\d+)\|(.*)")
_ENDED = re.compile(r"(\d+[^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|(.*)")


def ask_queue() -> dict[str, Queued]:
    """All unfinished jobs of this user, in one call. Raises SlurmError."""
    # Names of jobs may contain "|" and newlines. So a random mark begins each job and its name, which comes last; a
    # line without the mark is the rest of a name.
    mark = f"<{secrets.token_hex(8)}>"
    # squeue finds no user without a name, so jobs are selected by the user id below.
    mine = ["--me"] if user_name() is not None else []
    output = call(["squeue", *mine, "--noheader", "--array", f"--format={mark}%F|%K|%T|%U|%r{mark}%j"])
    jobs = {}
    for line in output.split("\n"):
        if not line.startswith(mark):
            continue
        facts, _, name = line.removeprefix(mark).partition(mark)
        match = _QUEUED.fullmatch(facts)
        if match is None:
            raise SlurmError(f"squeue: unexpected answer {facts!r}")
        array, index, state, user, reason = match.groups()
        if int(user) == os.getuid():
            queued = Queued(state, "" if reason == "None" else reason, name.strip())
            jobs |= dict.fromkeys([array] if index == "N/A" else _expand(f"{array}_{index}"), queued)
    return jobs


def ask_accounting(jobs: Iterable[str]) -> dict[str, Ended]:
    """How jobs ended, in one call for whole arrays. Their names distinguish them from older jobs with the same ids.

    With `-j` and no start time all of the accounting is searched, so clocks may differ. Raises SlurmError, for example
    where the cluster keeps no accounting.
    """
    arrays = sorted({job.split("_")[0] for job in jobs})
    fields = "--format=JobID,State,ExitCode,NodeList,JobName"
    output = call(["sacct", "-X", "-n", "-P", fields, "-j", ",".join(arrays)])
    ended = {}
    # A line of another form is the rest of a job name that contains a newline.
    for match in filter(None, map(_ENDED.fullmatch, output.split("\n"))):
        job, state, exit_code, node, name = match.groups()
        for single in _expand(job):
            ended[single] = Ended(state, exit_code, node, name)
    return ended


def _expand(job: str) -> list[str]:
    """The jobs of `12_[3-5,9%2]`, an array that was cancelled before it was split: 12_3 12_4 12_5 12_9."""
    array, separator, rest = job.partition("_")
    if not separator:
        return [job]
    single = []
    for part in rest.strip("[]").split("%")[0].split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            # squeue and sacct shorten long lists with "..."
            continue
        single += [f"{array}_{index}" for index in range(int(first), int(last or first) + 1)]
    return single


def look(jobs: Iterable[str], cache: Path | None = None) -> Snapshot:
    """The present snapshot, from the cache if that knows all `jobs`. Errors of SLURM are part of it, never raised.

    Only jobs that are not in the queue are looked up in the accounting.
    """
    wanted = set(jobs)
    cached = _read(cache)
    if cached is not None and wanted - set(cached.queue) <= set(cached.asked):
        return cached
    snapshot = Snapshot(time=time.time())
    try:
        snapshot.queue = ask_queue()
    except SlurmError as error:
        snapshot.queue_error = str(error)
    gone = wanted - set(snapshot.queue)
    snapshot.asked = sorted(gone)
    if gone:
        try:
            snapshot.ended = {job: end for job, end in ask_accounting(gone).items() if job in gone}
        except SlurmError as error:
            snapshot.accounting_error = str(error)
    if cache is not None:
        # A results folder that cannot be written can still be looked at.
        with contextlib.suppress(OSError):
            write_json(cache, asdict(snapshot))
    return snapshot


def cache_path(results: Path) -> Path:
    """One cache for all studies of a results folder, for each user."""
    return results / f".queue-{os.getuid()}.json"


def forget(results: Path) -> None:
    """Remove the cache, after a submission or a cancellation."""
    # Where nothing can be removed, no cache was written either, or it expires soon.
    with contextlib.suppress(OSError):
        cache_path(results).unlink(missing_ok=True)


def _read(cache: Path | None) -> Snapshot | None:
    if cache is None:
        return None
    from ..benchmark.runs.stored_types import flaw
    from .stored_types import StoredSnapshot

    # Only a cache: if unreadable, ask again.
    try:
        content = read_json(cache)
    except (OSError, Damaged):
        return None
    if flaw(content, StoredSnapshot):
        return None
    queue = {job: Queued(**entry) for job, entry in content["queue"].items()}
    ended = {job: Ended(**entry) for job, entry in content["ended"].items()}
    snapshot = Snapshot(**{**content, "queue": queue, "ended": ended})
    return snapshot if 0 <= time.time() - snapshot.time < CACHE_SECONDS else None
