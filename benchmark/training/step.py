"""One training step: forward, backward, and the pruner's hooks around the optimiser's update.

Every training of the suite goes through here: runs, the contract check and measurements of speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..api.pruner import Pruner
from ..api.second_pass import SecondPass
from ..runs.run import Recipe
from . import distributed
from .clipping import clip_gradients
from .clock import Clock
from .evaluate import forward_precision
from .optimizer import drop_gradients


@dataclass(kw_only=True)
class Step:
    """The steps of one optimiser. `network` is the model, or its compiled or distributed form.

    A compiled network would be compiled again for the smaller batch at the end of an epoch: where `plain` is given,
    batches of other than `full_size` samples go through it.
    """

    network: nn.Module
    pruner: Pruner
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    device: torch.device
    clock: Clock = field(default_factory=Clock)
    plain: nn.Module | None = None
    full_size: int = 0

    def __post_init__(self) -> None:
        self._precision = forward_precision(self.recipe, self.device)

    def __call__(self, index: int, inputs: Tensor, targets: Tensor, num_all: int | None = None) -> Tensor:
        """Train on a batch; returns its loss. `index` is the position in the recipe, see `Pruner.on_gradients`."""
        loss = self.passes(inputs, targets, num_all)
        self.update(index)
        return loss

    def passes(self, inputs: Tensor, targets: Tensor, num_all: int | None = None) -> Tensor:
        """`backward`, and a second time where the method asks for it; returns the loss of the first pass."""
        loss = self.backward(inputs, targets, num_all)
        if not isinstance(self.pruner, SecondPass):
            return loss
        loss = loss.clone()  # a captured step writes its next loss there
        with self.clock.measure("prune"):
            self.pruner.move_weights()
        self.backward(inputs, targets, num_all)
        with self.clock.measure("prune"):
            self.pruner.restore_weights()
        return loss

    def backward(self, inputs: Tensor, targets: Tensor, num_all: int | None = None) -> Tensor:
        """Leave the gradients of the loss in the parameters; returns the loss, detached.

        `num_all`: samples of the batch in all processes, where there are several and this one has a share.
        """
        drop_gradients(self.optimizer)
        network = self.network if self.plain is None or len(inputs) == self.full_size else self.plain
        with self._precision:
            logits = network(inputs)
            loss = cross_entropy(logits.float(), targets, label_smoothing=self.recipe.label_smoothing)
        if num_all is not None:
            loss = distributed.weighted(loss, len(targets), num_all)
        loss.backward()
        return loss.detach()

    def update(self, index: int) -> None:
        """The pruner's hooks and, unless it skips them, clipping and the optimiser."""
        with self.clock.measure("prune"):
            skips = self.pruner.on_gradients(index, self.optimizer)
        if not skips:
            if self.recipe.clip_norm > 0:
                clip_gradients(self.pruner, self.optimizer, self.recipe.clip_norm)
            self.optimizer.step()
        with self.clock.measure("masks"):
            self.pruner.on_weights(index, self.optimizer)
