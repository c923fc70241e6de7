"""What the scripts give a pruner to work on: a network, random inputs of its shape, and a clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..api.masks import Masks, find_sites, keep_largest_of, num_kept
from ..api.pruner import Context, Pruner
from ..models.count_macs import count_macs
from ..models.registry import create_model


@dataclass(kw_only=True)
class Masked(Pruner):
    """The largest weights stay, once and for all: nothing but the upkeep of masks."""

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
    """Of a training step: all of it, and the pruner's hooks in it."""

    step: float
    hooks: float


def timed_step(
    model: nn.Module, pruner: Pruner, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor, index: int
) -> Seconds:
    """A training step as the harness does it."""
    begin = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    cross_entropy(model(inputs), targets).backward()
    on_gradients = time.perf_counter()
    skips = pruner.on_gradients(index, optimizer)
    update = time.perf_counter()
    if not skips:
        optimizer.step()
    on_weights = time.perf_counter()
    pruner.on_weights(index, optimizer)
    end = time.perf_counter()
    return Seconds(step=end - begin, hooks=update - on_gradients + end - on_weights)


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
) -> Context:
    """The context of a run on random data; `name` is that of the model, for methods that build it anew.

    A score that asks for more samples gets `max_samples`, the same batch again and again, or else that batch once:
    its time is proportional.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(batch_size, *shape, generator=generator)
    targets = torch.randint(num_classes, (batch_size,), generator=generator)

    def samples(
        num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        left = min(num_samples, max_samples or len(targets))
        while left > 0:
            count = min(left, batch_size, len(targets))
            yield inputs[:count], targets[:count]
            left -= count

    def rebuild(**options: Any) -> nn.Module:
        return create_model(name, num_classes=num_classes, input_shape=shape, **options)

    return Context(
        model=model,
        sites=find_sites(model),
        samples=samples,
        loss=cross_entropy,
        macs=count_macs(model, shape),
        input_shape=shape,
        num_classes=num_classes,
        device=torch.device("cpu"),
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        generator=lambda purpose: torch.Generator().manual_seed(0),
        rebuild=rebuild if name else None,
    )
