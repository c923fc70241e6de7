"""INT8 by ONNX Runtime's static quantisation after training: a control of the bytes that pruning saves."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from ..api.data import Data, Split
from ..shrink.onnx_file import INPUTS
from ..training.evaluate import evaluation_batch
from .machine import CPU

CALIBRATION = 512
"""Training images, the first in file order and not augmented, whose activations set the ranges."""
CALIBRATION_BATCH = 32


def quantize(content: bytes, data: Data) -> bytes:
    """The ONNX network with weights and activations in 8 bits: a scale for each output channel and each activation.

    Batch norm is folded into the convolution before it. Ranges are the least and largest activations of CALIBRATION
    training images, so neither the test set nor the validation split is read.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder, _quiet():
        source, prepared, target = (Path(folder) / name for name in ("network.onnx", "prepared.onnx", "int8.onnx"))
        source.write_bytes(content)
        quant_pre_process(str(source), str(prepared))
        quantize_static(
            str(prepared), str(target), _reader(data.train), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return target.read_bytes()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that the quantiser logs at its root logger."""
    logger = logging.getLogger()
    before, logger.level = logger.level, logging.ERROR
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.level = before


def _reader(split: Split) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            images, _ = split.sample(torch.arange(min(CALIBRATION, len(split))), device=CPU)
            self.batches = iter(images.split(CALIBRATION_BATCH))

        def get_next(self) -> Any:
            batch = next(self.batches, None)
            return None if batch is None else {INPUTS: batch.numpy()}

    return Reader()


def accuracy(call: Callable[[np.ndarray], np.ndarray], data: Data) -> float:
    """Share of the test set that the network gets right: a final number, which chooses nothing."""
    correct = 0
    for inputs, targets in data.test.batches(evaluation_batch(data.input_shape), device=CPU):
        logits = call(inputs.numpy())
        correct += int((torch.from_numpy(logits).argmax(dim=1) == targets).sum())
    return correct / data.test.targets.numel()
