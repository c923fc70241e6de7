"""What the controller and the accounting say: one `squeue` and at most one `sacct`, remembered for 30 seconds."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..benchmark.store import write_json
from .commands import SlurmError, call

CACHE_SECONDS = 30.0
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT")
"""States of squeue in which a job holds a node; all others wait."""


@dataclass(frozen=True)
class Queued:
    """One job that the controller knows as not finished."""

    state: str
    reason: str
    name: str

    @property
    def is_running(self) -> bool:
        return self.state in RUNNING


@dataclass(frozen=True)
class Ended:
    """What the accounting says of a job that left the queue."""

    state: str
    exit_code: str
    node: str


@dataclass(kw_only=True)
class Snapshot:
    """One look at the cluster. Jobs are named `<array job>_<index>`.

    `queue_error` and `accounting_error` say why a part is unknown; then the part is empty, which means nothing.
    """

    time: float = 0.0
    queue: dict[str, Queued] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    queue_error: str = ""
    accounting_error: str = ""


def ask_queue() -> dict[str, Queued]:
    """All unfinished jobs of this user, in one call. Raises SlurmError."""
    # Fields are separated by a character that neither job names nor reasons contain.
    output = call(["squeue", "--me", "--noheader", "--array", "--format=%F|%K|%T|%j|%r"])
    jobs = {}
    for line in output.splitlines():
        array, index, state, name, reason = line.strip().split("|", 4)
        job = array if index == "N/A" else f"{array}_{index}"
        jobs[job] = Queued(state, "" if reason == "None" else reason, name)
    return jobs


def ask_accounting(jobs: Iterable[str], since: float) -> dict[str, Ended]:
    """How jobs ended, in one call for whole arrays. `since` leaves out older jobs that had the same ids.

    Raises SlurmError, for one where the cluster keeps no accounts.
    """
    arrays = sorted({job.split("_")[0] for job in jobs})
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since - 60))
    fields = "--format=JobID,State,ExitCode,NodeList"
    output = call(["sacct", "-X", "-n", "-P", "-S", start, fields, "-j", ",".join(arrays)])
    ended = {}
    for line in output.splitlines():
        job, state, exit_code, node = line.split("|", 3)
        for single in _expand(job):
            ended[single] = Ended(state, exit_code, node)
    return ended


def _expand(job: str) -> list[str]:
    """`12_[3-5,9%2]`, as arrays are shown that were cancelled before they were split, is 12_3 12_4 12_5 12_9."""
    array, separator, rest = job.partition("_")
    if not separator:
        return [job]
    single = []
    for part in rest.strip("[]").split("%")[0].split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            # squeue and sacct cut long lists short with "..."
            continue
        single += [f"{array}_{index}" for index in range(int(first), int(last or first) + 1)]
    return single


def look(jobs: Iterable[str], since: float, cache: Path | None = None) -> Snapshot:
    """The state of `jobs`; failures of the cluster are part of the answer, never raised.

    Only jobs that are not in the queue are looked up in the accounting.
    """
    wanted = set(jobs)
    remembered = _read(cache)
    if remembered is not None and wanted - set(remembered.queue) <= set(remembered.asked):
        return remembered
    snapshot = Snapshot(time=time.time())
    try:
        snapshot.queue = ask_queue()
    except SlurmError as error:
        snapshot.queue_error = str(error)
    gone = wanted - set(snapshot.queue)
    snapshot.asked = sorted(gone)
    if gone:
        try:
            snapshot.ended = {job: end for job, end in ask_accounting(gone, since).items() if job in gone}
        except SlurmError as error:
            snapshot.accounting_error = str(error)
    if cache is not None:
        # A results folder that cannot be written can still be looked at.
        with contextlib.suppress(OSError):
            write_json(cache, asdict(snapshot))
    return snapshot


def cache_path(results: Path) -> Path:
    """One memory for all studies of a results folder, and for each user."""
    return results / f".queue-{os.getuid()}.json"


def forget(results: Path) -> None:
    """After a submission or a cancellation the remembered queue is not the queue any more."""
    # Where nothing can be removed, nothing could be remembered either, or it is old soon.
    with contextlib.suppress(OSError):
        cache_path(results).unlink(missing_ok=True)


def _read(cache: Path | None) -> Snapshot | None:
    if cache is None:
        return None
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
        snapshot = Snapshot(**content)
        snapshot.queue = {job: Queued(**entry) for job, entry in content["queue"].items()}
        snapshot.ended = {job: Ended(**entry) for job, entry in content["ended"].items()}
    except (OSError, ValueError, TypeError, KeyError):
        # It is a memory, not a record: an unreadable one is asked for again.
        return None
    return snapshot if 0 <= time.time() - snapshot.time < CACHE_SECONDS else None
