"""The only training loop. It never asks which method is running: what differs goes through the pruner's hooks."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..api.data import Data, Split
from ..api.pruner import Pruner
from ..runs.run import Recipe, derive_seed
from ..runs.settings import Compile
from . import distributed
from .clipping import clip_gradients

EVALUATION_BATCH = 1000
TOP_K = 5


class Diverged(Exception):
    """The training loss, or the trained network, is not finite."""


@dataclass(frozen=True)
class Evaluation:
    """Counts over a whole split: accuracy is correct / samples, never a mean of batch means."""

    correct: int
    correct_top5: int
    loss_sum: float
    samples: int

    @property
    def accuracy(self) -> float | None:
        """Fraction right, None for an empty split."""
        return self.correct / self.samples if self.samples else None

    @property
    def top5(self) -> float | None:
        return self.correct_top5 / self.samples if self.samples else None

    @property
    def loss(self) -> float | None:
        mean = self.loss_sum / self.samples if self.samples else None
        return mean if mean is None or math.isfinite(mean) else None


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
    if recipe.schedule == "linear":
        return recipe.lr * (1.0 - progress)
    if recipe.schedule == "step":
        epoch = index / per_epoch
        drops = sum(epoch >= m for m in recipe.milestones) or int(epoch // max(1, recipe.step_epochs or recipe.epochs))
        return recipe.lr * recipe.step_factor**drops
    return recipe.lr


FUSED_DEVICES = ("cpu", "cuda")
"""Where one kernel does an optimiser's whole step."""


def make_optimizer(recipe: Recipe, pruner: Pruner, device: torch.device) -> torch.optim.Optimizer:
    """SGD or Adam over the pruner's parameter groups."""
    groups = pruner.param_groups(recipe.weight_decay, recipe.decay_norm)
    fused = True if device.type in FUSED_DEVICES else None
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=fused)
    return torch.optim.Adam(groups, lr=recipe.lr, fused=fused)


def _drop_gradients(optimizer: torch.optim.Optimizer) -> None:
    """What `zero_grad` does, which also talks to the profiler: that takes longer than the rest in a small network."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def num_steps(num_samples: int, batch_size: int) -> int:
    """Optimiser steps an epoch. A last batch of one sample is left out: batch norm cannot take it."""
    full, rest = divmod(num_samples, batch_size)
    return full + (1 if rest > 1 or (full == 0 and rest) else 0)


def forward_precision(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bfloat16 autocast where the recipe says so; it can be entered again and again."""
    if recipe.precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, recipe: Recipe, device: torch.device) -> Evaluation:
    """Top-1 and top-5 counts and the summed loss of a split, in eval mode; the mode is restored."""
    was_training = model.training
    model.eval()
    totals = torch.zeros(3, dtype=torch.float64, device=device)
    num_processes = distributed.world()
    batch_size = math.ceil(EVALUATION_BATCH / num_processes) * num_processes
    for inputs, targets in split.batches(batch_size, device=device, rank=distributed.rank(), world=num_processes):
        with forward_precision(recipe, device):
            logits = model(inputs)
        logits = logits.float()
        top = logits.topk(min(TOP_K, logits.shape[1]), dim=1).indices == targets[:, None]
        loss = cross_entropy(logits, targets, reduction="sum")
        totals += torch.stack([top[:, 0].sum(), top.any(dim=1).sum(), loss.double()]).double()
    model.train(was_training)
    distributed.total(totals)
    correct, correct_top5, loss_sum = totals.tolist()
    return Evaluation(int(correct), int(correct_top5), loss_sum, len(split))


@dataclass
class Clock:
    """Seconds spent where, summed over the training."""

    train: float = 0.0
    evaluate: float = 0.0
    prune: float = 0.0
    masks: float = 0.0

    def measure(self, what: str) -> Measured:
        """Add the time that a `with` block takes to this field."""
        return Measured(self, what)


class Measured:
    """What `Clock.measure` returns. No generator by contextlib: twice a training step, that takes twice as long."""

    __slots__ = ("begin", "clock", "what")

    def __init__(self, clock: Clock, what: str) -> None:
        self.clock, self.what = clock, what

    def __enter__(self) -> None:
        self.begin = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        setattr(self.clock, self.what, getattr(self.clock, self.what) + time.perf_counter() - self.begin)


@dataclass
class Position:
    """Where a training stands: the next epoch of a round. Checkpoints hold it."""

    round: int = 0
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class Training:
    """One run's training: model, pruner, data and recipe (its precision settled), and how to report and to stop.

    `on_epoch(record, optimizer, position)` is called after every epoch, with the position to resume from.
    """

    model: nn.Module
    pruner: Pruner
    data: Data
    recipe: Recipe
    seed: int
    device: torch.device
    clock: Clock
    compile: Compile
    on_epoch: Callable[[dict[str, Any], torch.optim.Optimizer, Position], None]

    @property
    def steps_per_epoch(self) -> int:
        return num_steps(len(self.data.train), self.recipe.batch_size)

    def run_round(self, index: int, first_epoch: int, optimizer_state: dict[str, Any] | None = None) -> None:
        """Train from `first_epoch` to the end of the recipe with a new optimiser, or one restored from a checkpoint."""
        optimizer = make_optimizer(self.recipe, self.pruner, self.device)
        if optimizer_state is not None:
            optimizer.load_state_dict(optimizer_state)
        distributed.check_shares(len(self.data.train), self.recipe.batch_size)
        network = self._compiled(distributed.parallel(self.model))
        for epoch in range(first_epoch, self.recipe.epochs):
            # Order and dropout depend on the seed and the position alone, so a resumed training draws the same.
            torch.manual_seed(derive_seed(self.seed, "noise", index, epoch) + distributed.rank())
            order = torch.Generator().manual_seed(derive_seed(self.seed, "order", index, epoch))
            with self.clock.measure("train"):
                loss = self._train_epoch(network, epoch, optimizer, order)
                self.pruner.on_epoch_end(index, epoch, optimizer)
            record = {"round": index, "epoch": epoch, "lr": optimizer.param_groups[0]["lr"], "train_loss": loss}
            with self.clock.measure("evaluate"):
                record |= self._evaluate_epoch()
            self.on_epoch(record, optimizer, Position(index, epoch + 1))

    def _compiled(self, network: nn.Module) -> nn.Module:
        """Shares its parameters with `network`; evaluation and scores go on with the plain one."""
        if self.compile == "none":
            return network
        return cast(nn.Module, torch.compile(network, mode=None if self.compile == "default" else self.compile))

    def _train_epoch(
        self, network: nn.Module, epoch: int, optimizer: torch.optim.Optimizer, order: torch.Generator
    ) -> float:
        """Mean training loss of the epoch. `network` is the model, or what spreads it over several processes."""
        recipe, pruner, device = self.recipe, self.pruner, self.device
        network.train()
        losses = torch.zeros((), device=device)
        rank, world = distributed.rank(), distributed.world()
        batches = self.data.train.batches(
            recipe.batch_size, device=device, order=order, augment=True, rank=rank, world=world
        )
        steps = self.steps_per_epoch
        precision = forward_precision(recipe, device)
        for i, (inputs, targets) in zip(range(steps), batches, strict=False):
            step = epoch * steps + i
            self._set_rate(optimizer, epoch, step)
            _drop_gradients(optimizer)
            with precision:
                loss = self._loss(network(inputs), targets)
            if world > 1:
                batch_size = min(recipe.batch_size, len(self.data.train) - i * recipe.batch_size)
                loss = distributed.weighted(loss, len(targets), batch_size)
            loss.backward()
            with self.clock.measure("prune"):
                skips = pruner.on_gradients(step, optimizer)
            if not skips:
                if recipe.clip_norm > 0:
                    clip_gradients(pruner, optimizer, recipe.clip_norm)
                optimizer.step()
            with self.clock.measure("masks"):
                pruner.on_weights(step, optimizer)
            losses += loss.detach()
        distributed.average_statistics(self.model)
        mean = distributed.total(losses).item() / world / steps
        if not math.isfinite(mean):
            raise Diverged(f"training loss is {mean} in epoch {epoch}")
        return mean

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(logits.float(), targets, label_smoothing=self.recipe.label_smoothing)

    def _set_rate(self, optimizer: torch.optim.Optimizer, epoch: int, step: int) -> None:
        by_step = self.recipe.lr_update == "step"
        rate = learning_rate(self.recipe, step, self.steps_per_epoch) if by_step else learning_rate(self.recipe, epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_factor", 1.0)

    def _evaluate_epoch(self) -> dict[str, Any]:
        """Validation and test after each epoch. The test numbers are only ever reported."""
        validation = evaluate(self.model, self.data.validation, self.recipe, self.device)
        test = evaluate(self.model, self.data.test, self.recipe, self.device)
        return {
            "validation_accuracy": validation.accuracy,
            "validation_loss": validation.loss,
            "test_accuracy": test.accuracy,
            "test_top5": test.top5,
            "test_loss": test.loss,
        }
