"""Which GPUs this process may use, and whether several processes compute on one at the same time. Without torch."""

from __future__ import annotations

import errno
import functools
import itertools
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
MPS_FOLDER = "/tmp/nvidia-mps"
"""Where CUDA looks for MPS if CUDA_MPS_PIPE_DIRECTORY does not say another place."""
MPS_TEXTS = {
    True: "running: runs that share a GPU compute on it at the same time",
    False: "not running: runs that share a GPU take turns on it",
}

_NAME = re.compile(r"\d+|(GPU|MIG)-\S+")
_UUID = re.compile(r"UUID: ((?:GPU|MIG)-[^)]+)\)")


def visible_gpus() -> tuple[str, ...]:
    """The GPUs as CUDA_VISIBLE_DEVICES names them: those that it names already, else all of the machine.

    CUDA ignores what follows a name that it does not know, and sees nothing if the variable is set and empty.
    """
    chosen = os.environ.get(VISIBLE)
    if chosen is None:
        return _installed_gpus()
    return tuple(itertools.takewhile(_NAME.fullmatch, (name.strip() for name in chosen.split(","))))


@functools.cache
def _installed_gpus() -> tuple[str, ...]:
    if shutil.which("nvidia-smi") is None:  # as in containers that are given no tools
        return tuple(map(str, range(len(list(Path("/dev").glob("nvidia[0-9]*"))))))
    try:
        shown = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ()  # the driver does not work
    return names_of(shown)


def names_of(listing: str) -> tuple[str, ...]:
    """The GPUs in the output of `nvidia-smi -L`: their numbers, or UUIDs where one is cut into instances (MIG).

    A process sees one instance at most, and none of them has a number.
    """
    cards: list[list[str]] = []
    for line in listing.splitlines():
        uuid = _UUID.search(line)
        if uuid and line.startswith("GPU "):
            cards.append([uuid[1]])
        elif uuid and cards:
            cards[-1].append(uuid[1])
    if all(len(names) == 1 for names in cards):
        return tuple(map(str, range(len(cards))))
    return tuple(name for card, *instances in cards for name in instances or (card,))


def own_gpu(device: str, index: int, gpus: Sequence[str]) -> str | None:
    """The GPU of worker `index`: workers take them in turn, unless `device` has a number. None on a CPU.

    Also None for a number that no GPU has: torch then says so.
    """
    kind, _, number = device.partition(":")
    if kind == "cpu" or not gpus:
        return None
    chosen = int(number) if number else index % len(gpus)
    return gpus[chosen] if chosen < len(gpus) else None


def default_jobs(device: str) -> int:
    """Runs at once on this machine: one a GPU, or one a core where there is none or `device` is the CPU."""
    gpus = () if device == "cpu" else visible_gpus()
    if not gpus:
        return len(os.sched_getaffinity(0))
    return 1 if ":" in device else len(gpus)


def mps_is_running() -> bool:
    """Whether NVIDIA's Multi-Process Service answers: processes then share a GPU instead of taking turns on it."""
    folder = os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or MPS_FOLDER
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        try:
            end.connect(f"{folder}/control")
        except OSError as error:
            # the socket of a service that has died stays behind, and refuses; another kind of socket is no stream
            return error.errno in (errno.EPROTOTYPE, errno.EACCES, errno.EAGAIN)
    return True
