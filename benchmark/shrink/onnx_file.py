"""A network as ONNX, by torch's exporter."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

import torch
from torch import nn

from ..api.errors import UserError

INPUTS, LOGITS = "inputs", "logits"


def check_onnx_installed() -> None:
    """Raises UserError where torch's exporter has not what it needs."""
    for name in ("onnx", "onnxscript"):
        if find_spec(name) is None:
            raise UserError(f"{name} is not installed: pip install 'prunebench[shrink]'")


def onnx_bytes(network: nn.Module, input_shape: tuple[int, ...]) -> bytes:
    """The network in eval mode, for batches of any size, as the content of a file.

    Raises UserError for a network that torch cannot export.
    """
    network = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format).eval()
    try:
        with _quiet(), torch.no_grad():
            made = torch.onnx.export(
                network, (torch.zeros(2, *input_shape),), dynamo=True, verbose=False,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), input_names=[INPUTS], output_names=[LOGITS],
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        raise UserError(f"torch cannot write {type(network).__name__} as ONNX: {str(error).splitlines()[0]}") from error
    assert made is not None
    return made.model_proto.SerializeToString()


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
