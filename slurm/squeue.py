"""What the controller and the accounting say: one `squeue` and at most one `sacct`, remembered for 30 seconds."""

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
from ..benchmark.runs.store import read_json, write_json
from .commands import SlurmError, call
from .user import user_name

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
    name: str


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


_QUEUED = re.compile(r"(\d+)\|([^|]+)\|([^|]+)\|(\d+)\|(.*)")
_ENDED = re.compile(r"(\d+[^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|(.*)")


def ask_queue() -> dict[str, Queued]:
    """All unfinished jobs of this user, in one call. Raises SlurmError."""
    # Names of jobs may hold any character, also "|" and newlines. So a mark that no name holds begins each job and
    # its name, which comes last; a line without the mark is the rest of a name.
    mark = f"<{secrets.token_hex(8)}>"
    # squeue knows no user without a name: the jobs of such a one are picked out by the user id.
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
    """How jobs ended, in one call for whole arrays. Their names tell them from older jobs that had the same ids.

    With `-j` and no start the whole time is searched, so the clocks of this machine and of the accounting may differ.
    Raises SlurmError, for one where the cluster keeps no accounts.
    """
    arrays = sorted({job.split("_")[0] for job in jobs})
    fields = "--format=JobID,State,ExitCode,NodeList,JobName"
    output = call(["sacct", "-X", "-n", "-P", fields, "-j", ",".join(arrays)])
    ended = {}
    # A line of another form is the rest of a job name that holds a newline.
    for match in filter(None, map(_ENDED.fullmatch, output.split("\n"))):
        job, state, exit_code, node, name = match.groups()
        for single in _expand(job):
            ended[single] = Ended(state, exit_code, node, name)
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


def look(jobs: Iterable[str], cache: Path | None = None) -> Snapshot:
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
            snapshot.ended = {job: end for job, end in ask_accounting(gone).items() if job in gone}
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
    from ..benchmark.runs.stored_types import flaw
    from .stored_types import StoredSnapshot

    # It is a memory, not a record: where it cannot be read, the cluster is asked again.
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
