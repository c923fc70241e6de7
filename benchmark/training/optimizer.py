"""The optimiser of a recipe and its learning rate."""

from __future__ import annotations

import math

import torch

from ..api.pruner import Pruner
from ..runs.run import Recipe

FUSED_DEVICES = ("cpu", "cuda")
"""Where one kernel does an optimiser's whole step."""


def learning_rate(recipe: Recipe, index: int, per_epoch: int = 1) -> float:
    """The rate at update `index` when the schedule is updated `per_epoch` times an epoch (1, or once a step).

    Warm-up: lr * (i + 1) / w. After it, over the remaining n updates: cosine lr * (1 + cos(pi i / n)) / 2,
    linear lr * (1 - i / n), step lr * factor ** (epoch // step_epochs) or one factor a milestone passed.
    """
    warmup, total = recipe.warmup_epochs * per_epoch, recipe.epochs * per_epoch
    if index < warmup:
        return recipe.lr * (index + 1) / warmup
    progress = (index - warmup) / max(1, total - warmup)
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1.0 + math.cos(math.pi * progress))
    if recipe.schedule in ("linear", "adaptive_linear"):
        return recipe.lr * (1.0 - progress)
    if recipe.schedule == "step":
        epoch = index / per_epoch
        drops = sum(epoch >= m for m in recipe.milestones) or int(epoch // max(1, recipe.step_epochs or recipe.epochs))
        return recipe.lr * recipe.step_factor**drops
    return recipe.lr


def set_rate(
    optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: int, step: int, per_epoch: int, factor: float = 1.0
) -> None:
    """Give all groups the rate of this epoch or step, times `factor` and the group's own `lr_factor` if it has one."""
    by_step = recipe.lr_update == "step"
    rate = factor * (learning_rate(recipe, step, per_epoch) if by_step else learning_rate(recipe, epoch))
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_factor", 1.0)


def make_optimizer(recipe: Recipe, pruner: Pruner, device: torch.device) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over the pruner's parameter groups.

    AdamW multiplies weights by 1 - lr * weight_decay in each step; Adam adds the decay to the gradient.
    """
    groups = pruner.param_groups(recipe.weight_decay, recipe.decay_norm)
    fused = True if device.type in FUSED_DEVICES else None
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=fused)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.lr, fused=fused)


def drop_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Like `zero_grad` without its call of the profiler, which takes longer than the rest in a small network."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
