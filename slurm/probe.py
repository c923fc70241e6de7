"""Prints as JSON what a compute node sees. `doctor --profile` runs it with srun and the profile's setup."""

from __future__ import annotations

import json
import platform
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..benchmark.runs.gpus import mps_is_running
from .code_digest import code_digest


def look_around(token: Path) -> dict[str, Any]:
    """`token` is a file that the login node has just written into the results folder."""
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "code": code_digest(),
        "sees_results": token.is_file(),
        "writes_results": _can_write(token.parent),
        **_cuda(),
    }


def _can_write(folder: Path) -> bool:
    """Permissions do not tell: a file server may map root to nobody, or refuse this node."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"\0")
            file.flush()
    except OSError:
        return False
    return True


def _cuda() -> dict[str, Any]:
    import torch

    available = torch.cuda.is_available()
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if available else []
    return {"torch": torch.__version__, "cuda": available, "gpus": names, "mps": mps_is_running()}


if __name__ == "__main__":
    print(json.dumps(look_around(Path(sys.argv[1]))))
