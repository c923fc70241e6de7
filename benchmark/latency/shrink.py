"""The smaller network of a pruned one, for measurements."""

from __future__ import annotations

from torch import Tensor, nn

from ..api.errors import UserError
from .variants import CannotShrink


def shrunk_network(model: nn.Module, example: Tensor) -> nn.Module:
    """Without what is zero, for inference. Raises CannotShrink for a network that cannot be traced."""
    from ..shrink import shrunk

    try:
        return shrunk(model, {}, example).eval()
    except UserError as error:
        raise CannotShrink(str(error)) from error
