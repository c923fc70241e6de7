"""A network that a method prunes while a loop of the user's trains it: hooks of the optimiser call the method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from ..api.errors import UserError
from ..api.masks import num_kept
from ..api.pruner import Context, Pruner
from ..api.sites import find_sites
from ..training.clipping import clip_gradients
from ..training.measure import check_finite_state, check_masks, kept_by_layer

WRAPPED: WeakSet[torch.optim.Optimizer] = WeakSet()
"""Optimisers that call a method until its `finish`."""


class Wrapped:
    """A network that a method prunes while a loop of the user's trains it; made by `wrap`."""

    def __init__(
        self,
        pruner: Pruner,
        context: Context,
        optimizer: torch.optim.Optimizer,
        own_groups: list[dict[str, Any]],
        clip_norm: float,
    ) -> None:
        self._pruner, self._context, self._optimizer, self._clip_norm = pruner, context, optimizer, clip_norm
        self._num_groups = len(optimizer.param_groups)
        for group in own_groups:
            optimizer.add_param_group(group)
        self._step, self._is_finished = 0, False
        self._withheld: list[tuple[nn.Parameter, Tensor | None]] = []
        WRAPPED.add(optimizer)
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

    @property
    def step(self) -> int:
        """Optimiser steps that were taken."""
        return self._step

    @property
    def masks(self) -> dict[str, Tensor]:
        """By the name of each pruned tensor: a bool tensor of its shape, True = kept now.

        Of a method without masks (learned thresholds), the weights that are not zero.
        """
        if self._pruner.masks is not None:
            return {name: mask.clone() for name, mask in self._pruner.masks.items()}
        return {site.name: site.weight.detach() != 0 for site in find_sites(self._context.model)}

    @property
    def sparsity(self) -> float:
        """The fraction of all prunable weights that is pruned now, layers that are left dense included."""
        counts = kept_by_layer(self._context.model, self._pruner).values()
        return 1 - sum(kept for kept, _ in counts) / sum(total for _, total in counts)

    def _before_step(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if any(each is not None for each in (*args[1:], kwargs.get("closure"))):
            raise UserError("a wrapped optimiser takes no closure: call loss.backward() before optimizer.step()")
        if getattr(optimizer, "grad_scale", None) is not None:
            raise UserError("gradients are scaled: call scaler.unscale_(optimizer) before scaler.step(optimizer)")
        if self._step == self._context.total_steps:
            raise UserError(f"the training was to have {self._step} steps, and this is one more: call finish()")
        if self._pruner.on_gradients(self._step, optimizer):
            # The method's update takes the place of this step: optimisers pass over parameters without a gradient.
            held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            self._withheld = [(parameter, parameter.grad) for parameter in held]
            for parameter in held:
                parameter.grad = None
        elif self._clip_norm > 0:
            clip_gradients(self._pruner, optimizer, self._clip_norm)

    def _after_step(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for parameter, gradient in self._withheld:
            parameter.grad = gradient
        self._withheld = []
        self._pruner.on_weights(self._step, optimizer)
        self._step += 1
        epoch, rest = divmod(self._step, self._context.steps_per_epoch)
        if rest == 0:
            self._pruner.on_epoch_end(0, epoch - 1, optimizer)
            check_masks(self._pruner, at_end=False)

    def finish(self) -> nn.Module:
        """End the pruning: a plain network, without parametrisations or hooks, whose pruned weights are zero.

        `masks` and `sparsity` stay readable. The optimiser has its own groups again.

        Raises:
            UserError: the training is not over and the method has not reached its sparsity; or a second call.
            Diverged: a weight or a buffer is not finite.
        """
        if self._is_finished:
            raise UserError("finish() was called already")
        self._check_reached()
        WRAPPED.discard(self._optimizer)
        for hook in self._hooks:
            hook.remove()
        self._pruner.detach()
        self._is_finished = True
        for group in self._optimizer.param_groups[self._num_groups :]:
            for parameter in group["params"]:
                self._optimizer.state.pop(parameter, None)
        del self._optimizer.param_groups[self._num_groups :]
        check_masks(self._pruner, at_end=True)
        check_finite_state(self._context.model)
        return self._context.model

    def _check_reached(self) -> None:
        pruner, masks, total = self._pruner, self._pruner.masks, self._context.total_steps
        if masks is None or not pruner.reaches_target or self._step == total:
            return
        wanted = num_kept(masks.num_total, pruner.sparsity)
        if masks.num_kept != wanted:
            raise UserError(
                f"after {self._step} of {total} steps {masks.num_kept} weights are kept, not {wanted}: the method "
                "prunes during the training; finish when it is over, or wrap with fewer steps"
            )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds beside the states of the network and of the optimiser."""
        return {"step": self._step, "method": self._pruner.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint: wrap as before, load the states of network and optimiser, then this one."""
        self._step = state["step"]
        self._pruner.load_state_dict(state["method"])
