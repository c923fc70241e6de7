"""Who is computing a run: a file created exclusively, kept alive by a heartbeat.

Works between processes and between machines that share the results folder; needs no lock server and no flock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

CLAIM = "claim.json"
HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 180.0
"""A claim from another machine is dead when its heartbeat is older than this; on this machine its pid is asked."""


class ClaimLost(Exception):
    """Another process took the run over, because this one looked dead."""


def holder(folder: Path, name: str = CLAIM) -> dict[str, Any] | None:
    """Who holds the run: the claim's content, or None if nobody alive does."""
    path = folder / name
    try:
        age = time.time() - path.stat().st_mtime
        content = json.loads(path.read_text(encoding="utf-8") or "{}")
    except (FileNotFoundError, ValueError):
        # Created but not yet filled in: its writer is between two system calls, unless it was killed there.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < 5.0:
                return {}
        return None
    if content.get("host") == socket.gethostname() and content.get("boot") == _boot_id():
        return content if _is_alive(content.get("pid", 0), content.get("started")) else None
    return content if age < STALE_SECONDS else None


class Claim:
    """Hold a run's folder while computing it. `Claim.take` returns None if somebody else does."""

    def __init__(self, path: Path, token: str) -> None:
        self._path, self._token = path, token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="claim heartbeat")
        self._thread.start()

    @classmethod
    def take(cls, folder: Path) -> Claim | None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / CLAIM
        token = uuid.uuid4().hex
        content = {
            "token": token,
            "host": socket.gethostname(),
            "boot": _boot_id(),
            "pid": os.getpid(),
            "started": _process_start(os.getpid()),
            "slurm_job": os.environ.get("SLURM_JOB_ID", ""),
        }
        for _ in range(2):
            try:
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileExistsError:
                if holder(folder) is not None or not _remove_dead(path, token):
                    return None
                continue
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(json.dumps(content))
            except OSError:
                # Left empty by a full disk, it would hold the run until it is stale.
                path.unlink()
                raise
            return cls(path, token)
        return None

    def check(self) -> None:
        """Raise ClaimLost if another process has taken over."""
        try:
            held = json.loads(self._path.read_text(encoding="utf-8")).get("token") == self._token
        except (FileNotFoundError, ValueError):
            held = False
        if not held:
            raise ClaimLost(f"{self._path.parent.name}: another process has taken this run over")

    def release(self) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(ClaimLost, FileNotFoundError):
            self.check()
            self._path.unlink()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._path)


def _remove_dead(path: Path, token: str) -> bool:
    """Take a dead claim away; False if somebody alive was faster.

    Between the look and the renaming another process may have replaced the dead claim by its own: what was renamed
    is looked at once more, and a living claim is put back.
    """
    moved = path.with_name(f".claim.{token}")
    try:
        path.rename(moved)
    except FileNotFoundError:
        return True
    is_dead = holder(path.parent, moved.name) is None
    if not is_dead:
        with contextlib.suppress(FileExistsError):
            os.link(moved, path)
    moved.unlink()
    return is_dead


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """When a process started, in clock ticks since boot: tells a reused pid from the old one."""
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
