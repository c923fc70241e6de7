"""Random inputs of a data set's shape, for measurements and checks that need no data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...datasets.parts.info import DataSetInfo
from ..api.errors import UserError
from .count_macs import counting_pass


def made_up_inputs(info: DataSetInfo, count: int, generator: torch.Generator | None = None) -> Tensor:
    """(count, *input_shape) float32: normal numbers, or symbols where the data have these."""
    if info.num_symbols:
        return torch.randint(info.num_symbols, (count, *info.input_shape), generator=generator).float()
    return torch.randn(count, *info.input_shape, generator=generator)


def check_outputs(name: str, model: nn.Module, info: DataSetInfo) -> None:
    """Raises UserError where a network does not give the data a logit for each class, at each place of a text.

    One forward pass on zeros in eval mode; the network may be on the meta device.
    """
    logits = counting_pass(model, info.input_shape)
    if isinstance(logits, Tensor) and logits.ndim != 2 + len(info.target_shape):
        kinds = "one class for each sample", "a symbol at each place of a text"
        given, asked = kinds[logits.ndim > 2], kinds[bool(info.target_shape)]
        raise UserError(f"model {name!r} does not fit {info.title}: it predicts {given}, the data have {asked}")
