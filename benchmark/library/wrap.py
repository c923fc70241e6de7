"""Any method in a user's own training loop: the hooks of its optimiser call the method as the harness does."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from ..api.errors import UserError
from ..api.pruner import Context, Pruner
from ..training import distributed
from .begin import attached, restored_on_error
from .user_context import Loss, user_context
from .user_data import TrainingData
from .wrapped import WRAPPED, Wrapped


def wrap(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    method: str,
    *,
    sparsity: float,
    steps: int,
    data: TrainingData | None = None,
    steps_per_epoch: int | None = None,
    loss: Loss = cross_entropy,
    clip_norm: float = 0.0,
    seed: int = 0,
    **options: Any,
) -> Wrapped:
    """Let a method prune a network while a loop of one's own trains it.

        pruning = prunebench.wrap(model, optimizer, "rigl", sparsity=0.9, steps=len(loader) * epochs, data=loader)
        ...                       # the loop: loss.backward(), optimizer.step()
        model = pruning.finish()

    The method is called before and after each `optimizer.step()`, in the order of the suite's own loop, and gives the
    same weights and masks. The network that the method is given keeps its weights: load trained ones before, for
    methods that start from them. Wrap before a learning-rate scheduler is built, since some methods train parameters
    of their own: until `finish` the optimiser holds them too, with the rate and the weight decay of its first group.

    Args:
        model: any network; the weights of its convolutions, linear, recurrent and attention layers are pruned.
        optimizer: holds the parameters of `model`. Its steps are counted; gradients must not be scaled in them.
        method: a registered name, such as "gmp", "rigl" or "global_mp" (`prunebench list methods`).
        sparsity: fraction of the prunable weights to remove, 0 <= sparsity < 1. It holds over the layers that the
            method prunes: `rigl`, `set` and `dsr` leave the first layer dense by default (`distribution`).
        steps: optimiser steps of the whole training: schedules are fractions of it. A multiple of `steps_per_epoch`.
        data: training samples for methods that score with them, as for `prune`, without augmentation.
        steps_per_epoch: some methods move masks once an epoch; by default len(data) of a DataLoader, else `steps`.
        loss: mean loss of outputs and targets, for methods that score with gradients before the training.
        clip_norm: bound of the norm of the gradients that move weights, as the recipe's (0: off). Methods see the
            gradients before they are clipped, so clip here and not in the loop.
        seed: of what the method draws.
        options: of the method; `prunebench show METHOD` lists them.

    Raises:
        UserError: an unknown method or option, a network without prunable layers, an optimiser that does not hold its
            parameters or whose step needs a closure (LBFGS), data that are missing or do not fit, steps that are no
            whole epochs, or a method that trains the network several times (`imp`), trains another one
            (`small_dense`) or needs a new one (`reinit`). The network is then as it was.
        FloatingPointError: scores that are not finite.
    """
    if distributed.is_active():
        raise UserError("wrap works in one process; several train one network in a study: prunebench.run")
    epochs, steps_per_epoch = _epochs(steps, steps_per_epoch, data)
    if not clip_norm >= 0:
        raise UserError(f"clip_norm is {clip_norm!r}; it must be a number >= 0")
    context = user_context(model, data, loss=loss, seed=seed, epochs=epochs, steps_per_epoch=steps_per_epoch)
    _check_owner(optimizer, context)
    with restored_on_error(model):
        pruner = attached(method, sparsity, options, context)
        own_groups = _own_groups(pruner, optimizer)
    return Wrapped(pruner, context, optimizer, own_groups, clip_norm)


def _epochs(steps: object, steps_per_epoch: object, data: TrainingData | None) -> tuple[int, int]:
    """Epochs, and steps of one."""
    if steps_per_epoch is None:
        steps_per_epoch = len(data) if isinstance(data, DataLoader) else steps
    for name, value in (("steps", steps), ("steps_per_epoch", steps_per_epoch)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{name} is {value!r}; it must be an integer >= 1")
    assert isinstance(steps, int)
    assert isinstance(steps_per_epoch, int)
    if steps % steps_per_epoch:
        raise UserError(
            f"steps is {steps}; it must be a multiple of the {steps_per_epoch} steps of an epoch: give whole epochs, "
            "or another steps_per_epoch"
        )
    return steps // steps_per_epoch, steps_per_epoch


def _check_owner(optimizer: torch.optim.Optimizer, context: Context) -> None:
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise UserError(f"optimizer is a {type(optimizer).__name__}; it must be a torch.optim.Optimizer")
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        name = type(optimizer).__name__
        raise UserError(
            f"{name} needs a closure, which it calls several times a step; a method is called once a step: take an "
            "optimiser whose step works without one, such as SGD or AdamW"
        )
    if optimizer in WRAPPED:
        raise UserError("the optimiser is wrapped already: call finish() of that pruning, or build another optimiser")
    held = _held(optimizer)
    missing = [
        site.name for site in context.sites if isinstance(site.weight, nn.Parameter) and id(site.weight) not in held
    ]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"the optimiser does not hold {missing[0]}{others}: build it from the parameters of the network that is "
            "wrapped; what is not to be trained or pruned gets requires_grad_(False)"
        )


def _held(optimizer: torch.optim.Optimizer) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


def _own_groups(pruner: Pruner, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Groups of the parameters that the method has beside those of the network, such as learned thresholds."""
    held, first = _held(optimizer), optimizer.param_groups[0]
    groups = pruner.param_groups(first.get("weight_decay", 0.0), decay_norm=True)
    own = [{**group, "params": [p for p in group["params"] if id(p) not in held]} for group in groups]
    own = [{**group, "lr": first["lr"]} for group in own if group["params"]]
    if own and "initial_lr" in first:
        raise UserError("the method trains parameters of its own: wrap before a learning-rate scheduler is built")
    return own
