"""What the scripts give a pruner to work on: a network, random inputs of its shape, and timed steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..api.masks import Masks, keep_largest_of, num_kept
from ..api.pruner import Context, Pruner
from ..api.sites import find_sites
from ..models.count_macs import count_macs
from ..models.registry import create_model
from ..runs.run import Recipe
from ..training.clock import clock_for
from ..training.optimizer import make_optimizer
from ..training.step import Step
from .side_by_side import CPU, settle


@dataclass(kw_only=True)
class Masked(Pruner):
    """Keeps the largest weights and never changes its masks, so that only their upkeep is measured."""

    kept: Masks = field(init=False, repr=False)

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self.kept = Masks(context.sites)
        magnitudes = [site.weight.detach().abs() for site in context.sites]
        total = sum(magnitude.numel() for magnitude in magnitudes)
        masks = keep_largest_of(magnitudes, num_kept(total, self.sparsity))
        self.kept.set(dict(zip(self.kept, masks, strict=True)))
        return model

    @property
    def masks(self) -> Masks:
        return self.kept

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        self.kept.apply()


@dataclass(frozen=True)
class Seconds:
    """Of a training step: the whole, and the pruner's hooks in it."""

    step: float
    hooks: float


def make_step(model: nn.Module, pruner: Pruner, recipe: Recipe, device: torch.device = CPU) -> Step:
    """The steps of a training, with a new optimiser and a clock of their own."""
    optimizer = make_optimizer(recipe, pruner, device)
    clock = clock_for(device)
    return Step(network=model, pruner=pruner, optimizer=optimizer, recipe=recipe, device=device, clock=clock)


def timed_step(step: Step, index: int, inputs: Tensor, targets: Tensor) -> Seconds:
    """Take a step of the suite's training."""
    settle(step.device)
    before, begin = _hooks(step), time.perf_counter()
    step(index, inputs, targets)
    settle(step.device)
    seconds = time.perf_counter() - begin
    return Seconds(step=seconds, hooks=_hooks(step) - before)


def _hooks(step: Step) -> float:
    """Seconds of the pruner's hooks in all steps so far."""
    spent = step.clock.seconds()
    return spent["prune"] + spent["masks"]


def context_of(
    model: nn.Module,
    shape: tuple[int, ...],
    *,
    num_classes: int,
    batch_size: int = 32,
    epochs: int = 1,
    steps_per_epoch: int = 10,
    name: str = "",
    max_samples: int | None = None,
    device: torch.device = CPU,
) -> Context:
    """The context of a run on random data, of a model that is on `device`.

    `name` is that of the model, for methods that build it anew.

    A score gets at most `max_samples` samples (by default one batch), by repeating the same batch: its time is
    proportional to their number.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(batch_size, *shape, generator=generator).to(device)
    targets = torch.randint(num_classes, (batch_size,), generator=generator).to(device)

    def samples(
        num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        left = min(num_samples, max_samples or len(targets))
        while left > 0:
            count = min(left, batch_size, len(targets))
            yield inputs[:count], targets[:count]
            left -= count

    def rebuild(**options: Any) -> nn.Module:
        return create_model(name, num_classes=num_classes, input_shape=shape, **options).to(device)

    return Context(
        model=model,
        sites=find_sites(model),
        samples=samples,
        loss=cross_entropy,
        macs=count_macs(model, shape),
        input_shape=shape,
        num_classes=num_classes,
        device=device,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        generator=lambda purpose: torch.Generator().manual_seed(0),
        rebuild=rebuild if name else None,
    )
