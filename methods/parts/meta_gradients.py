"""Gradients through steps of training: what the loss after them owes to the mask before them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...benchmark.api.pruner import Batch, Context
from ...benchmark.api.sites import Site
from .stand_ins import call_with, copied_buffers

Parameters = dict[nn.Parameter, Tensor]
"""What stands in the place of each parameter of a network that is trained."""


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes, through which gradients flow back to the tensor of every process."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.reduce = reduce
        return reduce(tensor.clone())

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return _SumOverProcesses.apply(grad_outputs[0].contiguous(), ctx.reduce), None  # pyright: ignore


@dataclass(frozen=True, kw_only=True)
class Unrolled:
    """Steps of SGD that start from given parameters and leave the network alone.

    With `second_order` gradients of what comes after the steps go through the gradients of the steps; without, those
    are constants.
    """

    context: Context
    lr: float
    momentum: float
    second_order: bool

    def train(self, start: Parameters, batches: Iterable[Batch]) -> Parameters:
        """The parameters after a step on each batch."""
        trained, velocities = dict(start), Parameters()
        for batch in batches:
            for parameter, gradient in self._gradients(trained, batch).items():
                if self.momentum > 0 and parameter in velocities:
                    gradient = self.momentum * velocities[parameter] + gradient
                velocities[parameter] = gradient
                trained[parameter] = trained[parameter].sub(gradient, alpha=self.lr)
        return trained

    def loss(self, parameters: Parameters, batch: Batch) -> Tensor:
        """This process's part of the mean loss over the batch of all processes."""
        inputs, targets = batch
        total = self.context.reduce(torch.tensor(float(len(targets)), device=inputs.device))
        logits = call_with(self.context.model, {**copied_buffers(self.context.model), **parameters}, inputs)
        return self.context.loss(logits, targets) * (len(targets) / total)

    def _gradients(self, parameters: Parameters, batch: Batch) -> Parameters:
        loss = self.loss(parameters, batch)
        found = torch.autograd.grad(
            loss, list(parameters.values()), create_graph=self.second_order, allow_unused=True, materialize_grads=True
        )
        if self.context.num_ranks == 1:
            return dict(zip(parameters, found, strict=True))
        # One sum a step: all processes meet in the same order, forwards and backwards.
        flat: Any = torch.cat([gradient.reshape(-1) for gradient in found])
        flat = _SumOverProcesses.apply(flat, self.context.reduce)
        parts = flat.split([gradient.numel() for gradient in found])
        return {parameter: part.view(parameter.shape) for parameter, part in zip(parameters, parts, strict=True)}


def mask_gradients(unrolled: Unrolled, sites: Sequence[Site], batches: Iterable[Batch]) -> dict[str, Tensor]:
    """dL/dm at m = 1 by site name: L is the loss on the last batch after a step on each of the others from m * w.

    All parameters that are trained move in the steps; the weights of the sites start from m * w.
    """
    context, (*steps, last) = unrolled.context, batches
    masks = [torch.ones_like(site.weight, requires_grad=True) for site in sites]
    trained = [parameter for parameter in context.model.parameters() if parameter.requires_grad]
    start: Parameters = {parameter: parameter.detach().requires_grad_(True) for parameter in trained}
    for site, mask in zip(sites, masks, strict=True):
        weight: Any = site.weight
        start[weight] = weight.detach() * mask
    loss = unrolled.loss(unrolled.train(start, steps), last)
    gradients = torch.autograd.grad(loss, masks, allow_unused=True, materialize_grads=True)
    return {site.name: context.reduce(gradient) for site, gradient in zip(sites, gradients, strict=True)}
