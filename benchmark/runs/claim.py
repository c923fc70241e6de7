"""A lock on the folder of a run: a file that is created exclusively and renewed by a heartbeat.

Works between processes and between machines that share the results folder, without a lock server or flock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import free_name

CLAIM = "claim.json"
HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 180.0
"""A claim of another machine or container is dead when its heartbeat is older than this.

A claim of this machine and container is dead when its process is.
"""


class ClaimLost(Exception):
    """Another process took over the run, because this one looked dead."""


def holder(folder: Path, name: str = CLAIM, now: float | None = None) -> dict[str, Any] | None:
    """The content of the claim on a run's folder; None if there is none, or its process is dead.

    `now`: the time by the clock that sets file times, which may be that of a file server.
    """
    path = folder / name
    try:
        age = (time.time() if now is None else now) - path.stat().st_mtime
        content = _read(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        # A folder of that name is no claim.
        return None
    if content is None:
        # Created but still empty: its writer is between two system calls, or was killed there.
        return {} if age < 5.0 else None
    if _is_here(content):
        return content if _is_alive(content.get("pid", 0), content.get("started")) else None
    return content if age < STALE_SECONDS else None


_KINDS: dict[str, type | tuple[type, ...]] = {
    "token": str, "host": str, "boot": str, "namespace": str, "pid": int, "started": str, "slurm_job": str,
    "since": (int, float),
}  # fmt: skip
_LAST_SECOND = 2**40
"""Since the epoch: 30000 years, which can still be shown as a date."""


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a claim; older versions wrote fewer keys. None if the file is not a claim."""
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or "pid" not in content:
        return None
    is_claim = all(isinstance(content[key], kind) for key, kind in _KINDS.items() if key in content)
    return content if is_claim and 0 <= content.get("since", 0) < _LAST_SECOND else None


def describe(content: Mapping[str, Any]) -> str:
    """The holder of a claim, for a message: process, machine, SLURM job, since when."""
    if "pid" not in content:
        return "a process that has just begun"
    job = f", SLURM job {content['slurm_job']}" if content.get("slurm_job") else ""
    since = content.get("since")
    begin = f" since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(since))}" if since else ""
    namespace = content.get("namespace")
    is_near = content.get("host") == socket.gethostname() and namespace and namespace != _namespace()
    place = f"in another container of {content['host']}" if is_near else f"on {content.get('host')}"
    return f"process {content['pid']} {place}{job}{begin}"


def how_to_end(content: Mapping[str, Any]) -> str:
    """The command that ends the holder of a claim."""
    if content.get("slurm_job"):
        return f"scancel {content['slurm_job']}"
    return f"kill {content.get('pid')}" if _is_here(content) else f"kill {content.get('pid')} there"


def _is_here(content: Mapping[str, Any]) -> bool:
    """Whether the pid of a claim is one of this machine and container."""
    place = _place()
    return bool(place["namespace"]) and all(content.get(key) == value for key, value in place.items())


class Claim:
    """A claim of this process on the folder of a run; renewed until it is released."""

    def __init__(self, path: Path, token: str) -> None:
        self._path, self._token = path, token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="claim heartbeat")
        self._thread.start()

    @classmethod
    def take(cls, folder: Path) -> Claim | None:
        """Claim a folder, which is made if needed; None if another process has it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / CLAIM
        token = uuid.uuid4().hex
        content = {
            "token": token,
            **_place(),
            "pid": os.getpid(),
            "started": _process_start(os.getpid()),
            "slurm_job": os.environ.get("SLURM_JOB_ID", ""),
            "since": time.time(),
        }
        for _ in range(2):
            try:
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileExistsError:
                now = _clock_of(folder, token)
                if holder(folder, now=now) is not None or not _remove_dead(path, token, now):
                    return None
                continue
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(json.dumps(content))
            except OSError:
                # On a full disk: an empty claim would keep others out for seconds.
                path.unlink(missing_ok=True)
                raise
            return cls(path, token)
        return None

    def check(self) -> None:
        """Raise ClaimLost if another process has taken over."""
        try:
            content = _read(self._path)
        except (FileNotFoundError, IsADirectoryError):
            content = None
        if content is None or content.get("token") != self._token:
            raise ClaimLost(f"{self._path.parent.name}: another process has taken this run over")

    def release(self) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(ClaimLost, FileNotFoundError):
            self.check()
            self._path.unlink()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            # The claim of a process that has taken over must not be renewed by this one.
            with contextlib.suppress(OSError, ClaimLost):
                self.check()
                os.utime(self._path)


def _clock_of(folder: Path, token: str) -> float:
    """The time by the clock that sets the file times of a folder, which may differ from this machine's."""
    path = folder / f".clock.{token}"
    path.touch()
    now = path.stat().st_mtime
    path.unlink(missing_ok=True)
    return now


def _remove_dead(path: Path, token: str, now: float) -> bool:
    """Remove a dead claim; False if another process was faster.

    Another process may have replaced the dead claim by its own before the renaming. So the renamed file is checked
    again, and put back if its process is alive.
    """
    moved = path.with_name(f".claim.{token}")
    try:
        path.rename(moved)
    except FileNotFoundError:
        return True
    if moved.is_dir():
        # Not a claim; it is kept, because it may be a user's.
        moved.rename(free_name(path))
        return True
    is_dead = holder(path.parent, moved.name, now) is None
    if not is_dead:
        with contextlib.suppress(FileExistsError):
            os.link(moved, path)
    with contextlib.suppress(IsADirectoryError):
        # A folder with the name of a claim stays where it was moved.
        moved.unlink()
    return is_dead


def _place() -> dict[str, str]:
    """Identifies where pids are comparable: machine, boot, and pid namespace."""
    return {"host": socket.gethostname(), "boot": _boot_id(), "namespace": _namespace()}


def _namespace() -> str:
    """The pid namespace, which differs between containers; empty if unknown.

    A container without its own /proc sees the pids of another namespace there.
    """
    try:
        is_own = os.readlink("/proc/self") == str(os.getpid())  # noqa: PTH115
        return os.readlink("/proc/self/ns/pid") if is_own else ""  # noqa: PTH115
    except OSError:
        return ""


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """When a process started, in clock ticks since boot, to tell a reused pid from the old process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def _is_alive(pid: int, started: str | None) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X") and _process_start(pid) == started
