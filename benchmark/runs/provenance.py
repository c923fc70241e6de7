"""What results record about their computation: versions, revision, machine. Only listed variables are recorded."""

from __future__ import annotations

import functools
import os
import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from .gpus import mps_is_running

PACKAGES = ("torch", "torchvision", "numpy")
SLURM_VARIABLES = (
    "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURM_JOB_NODELIST",
)  # fmt: skip

CODE_CHANGED = "PRUNEBENCH_CODE_CHANGED"
"""Set in jobs of a cluster: 1 if the code is another one than at submission, otherwise 0."""

SUBMITTED_REVISION = "PRUNEBENCH_SUBMITTED_REVISION"
"""Environment variable of SLURM jobs: the revision at the submission. Results note it beside their own revision."""


@functools.cache
def revision() -> str | None:
    """Git revision of the running code, with `+changes` if files differ from it; None outside a checkout."""
    folder = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != folder:
            return None
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def environment() -> dict[str, Any]:
    """Versions and the machine, without torch."""
    return {
        "prunebench": __version__,
        "revision": revision(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "slurm": {name: os.environ[name] for name in SLURM_VARIABLES if name in os.environ},
    }


def device_facts(device: Any) -> dict[str, Any]:
    """The device, and settings of torch that change numbers."""
    import torch

    is_cuda = device.type == "cuda"
    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if is_cuda else _processor(),
        "instructions": None if is_cuda else _instructions(),
        "cuda": torch.version.cuda if is_cuda else None,
        "cudnn": torch.backends.cudnn.version() if is_cuda else None,
        "tf32": _uses_tf32() if is_cuda else None,
        "mps": mps_is_running() if is_cuda else None,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _uses_tf32() -> dict[str, bool]:
    """torch has a switch for each kind of operation; results of earlier versions have that of products alone."""
    import torch

    cudnn: Any = torch.backends.cudnn
    products, convolutions = torch.backends.cuda.matmul.fp32_precision, cudnn.conv.fp32_precision
    return {"matmul": products == "tf32", "convolution": convolutions == "tf32"}


BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")


def _instructions() -> str:
    """The instructions by which torch chooses kernels, which round differently; cloud processors share names."""
    import torch

    flags = (_cpuinfo("flags") or _cpuinfo("Features") or "").split()
    return " ".join([torch.backends.cpu.get_cpu_capability(), *(f for f in BFLOAT16_INSTRUCTIONS if f in flags)])


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(key: str) -> str | None:
    """The first entry of that name in /proc/cpuinfo; None if there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), None)
