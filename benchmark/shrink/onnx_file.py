"""A network as ONNX, by torch's exporter."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from ..api.errors import UserError, first_line

INPUTS, LOGITS = "inputs", "logits"


def check_onnx_installed() -> None:
    """Raises UserError where torch's exporter has not what it needs."""
    for name in ("onnx", "onnxscript"):
        if find_spec(name) is None:
            raise UserError(f"{name} is not installed: pip install 'prunebench[shrink]'")


@dataclass(frozen=True)
class OnnxFile:
    """The content of a file. `batch` is the only number of inputs that it takes at once; None: any number."""

    content: bytes
    batch: int | None


def onnx_file(network: nn.Module, input_shape: tuple[int, ...]) -> OnnxFile:
    """The network in eval mode; for one input at a time if its code fixes the batch, as FastGRNN's does.

    Raises UserError for a network that torch cannot export.
    """
    network = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format).eval()
    made = _export(network, torch.zeros(2, *input_shape), ({0: torch.export.Dim("batch", min=1)},))
    if not made.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value"):
        return OnnxFile(made.SerializeToString(), None)
    return OnnxFile(_export(network, torch.zeros(1, *input_shape), None).SerializeToString(), 1)


def _export(network: nn.Module, example: Tensor, dynamic_shapes: Any) -> Any:
    try:
        with _quiet(), torch.no_grad():
            made = torch.onnx.export(
                network, (example,), dynamo=True, verbose=False, dynamic_shapes=dynamic_shapes, input_names=[INPUTS],
                output_names=[LOGITS],
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        raise UserError(f"torch cannot write {type(network).__name__} as ONNX: {first_line(error)}") from error
    assert made is not None
    return made.model_proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress and its notes on versions and deprecated calls of its own."""
    logger = logging.getLogger("torch.onnx")
    before, logger.level = logger.level, logging.ERROR
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.level = before
