"""Gradient clipping by the norm of the gradients that move weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..api.pruner import Pruner


@torch.no_grad()
def clip_gradients(pruner: Pruner, optimizer: torch.optim.Optimizer, max_norm: float) -> None:
    """Scale all gradients of the optimiser so that the norm of those that move weights is at most `max_norm`.

    Gradients of pruned weights do not count: they are dense and together larger than those of the weights that are
    left, so that steps would become shorter the sparser the network is. They are scaled like the others, because
    methods read the momentum that they leave. Parameters that the optimiser does not train do not count either.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if not parameters:
        return
    masks = _masks_of_parameters(pruner)
    norms = [_norm(parameter.grad, masks.get(id(parameter))) for parameter in parameters]
    nn.utils.clip_grads_with_norm_(parameters, max_norm, torch.linalg.vector_norm(torch.stack(norms)))


def _masks_of_parameters(pruner: Pruner) -> dict[int, Tensor]:
    """Masks by the id of the parameter. Parametrised weights are left out: all of them move, used or not."""
    masks = pruner.held_masks
    if masks is None:
        return {}
    return {
        id(site.weight): masks[name]
        for name, site in masks.sites.items()
        if not parametrize.is_parametrized(site.module, site.attribute)
    }


def _norm(gradient: Tensor, mask: Tensor | None) -> Tensor:
    return torch.linalg.vector_norm(gradient if mask is None else gradient.masked_fill(~mask, 0.0))
