"""Networks that look symbols up, as those of texts do: no made-up numbers can be their inputs."""

from __future__ import annotations

from torch import nn

from ...benchmark.api.errors import UserError


def check_takes_numbers(model: nn.Module, inputs: str) -> None:
    """Raises UserError for a network with an embedding; `inputs` says what the method would give it."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            raise UserError(f"the network looks symbols up ({name!r}), and the method gives it {inputs}")
