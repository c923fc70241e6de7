"""What this machine allows, tried on its own: whether a test is skipped depends on nothing that is tested."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def is_allowed(*command: str) -> bool:
    """Whether a command that needs root works here; the tests also run without root."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def may_mount(folder: Path) -> bool:
    """Whether a disk can be mounted on a folder; tried where only the command itself sees it."""
    return is_allowed("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", str(folder))


def may_close(folder: Path) -> bool:
    """Whether a folder can be closed to root as well: not on every file system, and not in every container."""
    if not is_allowed("chattr", "+i", str(folder)):
        return False
    subprocess.run(["chattr", "-i", str(folder)], check=True)
    return True
