"""The optimiser's state of single weights, which methods that bring weights back read and clear."""

from __future__ import annotations

import torch
from torch import Tensor

from ...benchmark.api.errors import UserError


@torch.no_grad()
def reset_positions(optimizer: torch.optim.Optimizer, weight: Tensor, positions: Tensor) -> None:
    """Zero the state of a weight tensor where `positions` (bool, its shape) is True.

    Masks are applied to weights and not to gradients, so the momentum of a pruned weight goes on collecting dense
    gradients; a weight that comes back must not be moved by it. Scalars such as Adam's step count stay.
    """
    for value in optimizer.state.get(weight, {}).values():
        if isinstance(value, Tensor) and value.shape == weight.shape:
            value.masked_fill_(positions, 0)


def reset_all(optimizer: torch.optim.Optimizer) -> None:
    """Clear the state of all parameters, so that the next step is like the first one."""
    optimizer.state.clear()


def require_momentum(optimizer: torch.optim.Optimizer, method: str) -> None:
    """Raises UserError for SGD without momentum."""
    if any(group.get("momentum", 1.0) == 0 for group in optimizer.param_groups):
        raise UserError(
            f"method {method!r} reads the optimiser's momentum, but momentum is 0; use SGD with > 0 or Adam"
        )


def momentum(optimizer: torch.optim.Optimizer, weight: Tensor) -> Tensor:
    """The direction an optimiser remembers, shape of `weight`: SGD's buffer, or Adam's m / (sqrt(v) + 1e-8).

    Zeros before the first step. The form for Adam is that of the sparse-momentum authors, without bias correction.
    """
    state = optimizer.state.get(weight, {})
    if "exp_avg" in state:
        return state["exp_avg"] / (state["exp_avg_sq"].sqrt() + 1e-8)
    buffer = state.get("momentum_buffer")
    return torch.zeros_like(weight) if buffer is None else buffer
