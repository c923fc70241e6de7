"""The precision of a recipe: what torch computes in, and which devices can."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import torch

from ..api.errors import DeviceMissing, UserError
from ..runs.run import Precision

OLDEST_CAPABILITY = (8, 0)
"""Of cards that compute in bfloat16 and TF32. Older ones emulate bfloat16, slower than float32, and know no TF32."""


def check_precisions(precisions: Iterable[str], device: torch.device) -> None:
    """Raises UserError for a precision that is not known, DeviceMissing for one that the device does not have.

    A stored run of an earlier version may have `auto`, which chose by machine: such a run cannot be repeated.
    """
    for precision in sorted(set(precisions)):
        if precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise UserError(f"precision {precision!r} is not known any more; write one of {known} in the study")
        if precision == "tf32" and device.type != "cuda":
            raise DeviceMissing(f"precision 'tf32' needs a GPU, the device is {device}; float32 runs everywhere")
        if precision != "float32" and device.type == "cuda":
            _check_capability(precision, device)


def _check_capability(precision: str, device: torch.device) -> None:
    found = torch.cuda.get_device_capability(device)
    if found < OLDEST_CAPABILITY:
        needed, has = (".".join(map(str, capability)) for capability in (OLDEST_CAPABILITY, found))
        raise DeviceMissing(
            f"precision {precision!r} needs a GPU of compute capability {needed} or later, "
            f"{torch.cuda.get_device_name(device)} has {has}; float32 runs everywhere"
        )


def set_precision(precision: str) -> None:
    """Let products and convolutions of float32 round their factors to TF32 with `tf32`, and only then.

    torch by itself does so in cuDNN and not in products. Without effect on bfloat16 inside autocast.
    """
    is_rounded = precision == "tf32"
    # "highest" also undoes what a plug-in may have chosen for products on a CPU
    torch.set_float32_matmul_precision("high" if is_rounded else "highest")
    torch.backends.cudnn.allow_tf32 = is_rounded
