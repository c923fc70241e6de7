"""Networks as ONNX, and how ONNX Runtime computes them on the CPU."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
EXTRA = "pip install 'prunebench[shrink]'"
INPUTS, LOGITS = "inputs", "logits"


def missing_packages() -> list[str]:
    """The packages of the extra that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


class NotExportable(Exception):
    """torch cannot write the network as ONNX."""


@dataclass(frozen=True)
class Onnx:
    """A network as ONNX files: one for any batch (key None), or one for each size of batch."""

    by_batch: dict[int | None, bytes]

    @property
    def takes_any_batch(self) -> bool:
        return None in self.by_batch

    @property
    def file_bytes(self) -> int:
        """Of the smallest file; those of single batches differ by their shapes only."""
        return min(map(len, self.by_batch.values()))

    def of(self, batch: int) -> bytes:
        return self.by_batch[None if self.takes_any_batch else batch]


def export(model: nn.Module, input_shape: Sequence[int], batches: Sequence[int]) -> Onnx:
    """The network for any batch, or if its forward pass fixes the batch (loops of its own) for each of `batches`.

    Raises NotExportable.
    """
    model = copy.deepcopy(model).cpu().to(memory_format=torch.contiguous_format).eval()
    content = _export(model, torch.zeros(2, *input_shape), is_free=True)
    if _batch_of(content) is None:
        return Onnx({None: content})
    return Onnx({batch: _export(model, torch.zeros(batch, *input_shape), is_free=False) for batch in batches})


def _export(model: nn.Module, example: Tensor, *, is_free: bool) -> bytes:
    shapes = ({0: torch.export.Dim("batch", min=1)},) if is_free else None
    try:
        with _quiet(), torch.no_grad():
            made = torch.onnx.export(
                model, (example,), dynamo=True, dynamic_shapes=shapes, verbose=False, input_names=[INPUTS],
                output_names=[LOGITS],
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        raise NotExportable(str(error).splitlines()[0]) from error
    if made is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return made.model_proto.SerializeToString()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress, deprecations of its own calls, and notes on its versions."""
    logger = logging.getLogger("torch.onnx")
    before, logger.level = logger.level, logging.ERROR
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.level = before


def _batch_of(content: bytes) -> int | None:
    """The size of batch that a file is for; None for any."""
    import onnx

    dimension = onnx.load_from_string(content).graph.input[0].type.tensor_type.shape.dim[0]
    return dimension.dim_value if dimension.HasField("dim_value") else None


def open_session(content: bytes, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Maps inputs (n, *shape) float32 to logits (n, classes) on the CPU, with this number of threads."""
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run([LOGITS], {INPUTS: inputs})[0]
