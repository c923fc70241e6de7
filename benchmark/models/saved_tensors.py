"""Memory of a training step: the bytes that a forward pass keeps for the backward pass. Nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import cross_entropy

from ...datasets.parts.info import DataSetInfo
from .made_up_inputs import made_up_inputs
from .registry import sketch_model

BATCH_SIZES = (4, 8)
"""What is kept is a constant and a multiple of the batch size, so two sizes tell both."""


def kept_bytes(
    name: str, options: Mapping[str, Any], info: DataSetInfo, *, precision: str = "float32"
) -> tuple[int, int]:
    """Bytes that dense training keeps for the backward pass: a constant, and for each sample of a batch.

    Inputs are among them, parameters and buffers are not; storage that several operations keep counts once. Raises
    UserError where network and data do not fit.
    """
    # Built outside the mode, where constants of its module would become fake for good, and with no values, because some
    # initialisations look at theirs. The meta device has no autocast, so the network is moved to a fake CPU.
    model = sketch_model(
        name, num_classes=info.num_classes, input_shape=info.input_shape, reads_weights=False, **options
    )
    with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True):
        model = model.to_empty(device="cpu")
        small, large = (_kept(model, info, size, precision) for size in BATCH_SIZES)
    per_sample = (large - small) // (BATCH_SIZES[1] - BATCH_SIZES[0])
    return small - BATCH_SIZES[0] * per_sample, per_sample


def _kept(model: nn.Module, info: DataSetInfo, batch_size: int, precision: str) -> int:
    inputs = made_up_inputs(info, batch_size)
    targets = torch.zeros(batch_size, *info.target_shape, dtype=torch.long)
    own = {_storage(tensor) for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if (storage := _storage(tensor)) not in own:
            # the tensor stays alive, so that its storage's address is not used again
            kept.setdefault(storage, tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model.train()(inputs)
        cross_entropy(logits.float(), targets)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]
