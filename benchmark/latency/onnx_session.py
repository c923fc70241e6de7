"""How ONNX Runtime computes a network on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..shrink.onnx_file import INPUTS, LOGITS

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def why_no_onnx() -> str:
    """Which packages are missing, and how to install them; empty if none is."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    return f"{', '.join(missing)} not installed: pip install 'prunebench[shrink]'" if missing else ""


def open_session(content: bytes, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Maps inputs (n, *shape) float32 to logits (n, classes) on the CPU, with this number of threads."""
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors only
    session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run([LOGITS], {INPUTS: inputs})[0]
