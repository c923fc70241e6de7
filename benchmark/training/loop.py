"""The only training loop. It never asks which method is running: what differs goes through the pruner's hooks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

import torch
from torch import nn

from ..api.data import Data, Split
from ..api.pruner import Pruner
from ..runs.run import Recipe as Recipe
from ..runs.run import derive_seed
from ..runs.settings import Compile
from . import distributed
from .batch_norm import check_recalibration, estimate_batch_norm
from .clock import Clock
from .cuda_graph import GraphedStep, GraphLog
from .evaluate import Evaluation, evaluate
from .explored import Explored
from .measure import Diverged, check_masks
from .optimizer import make_optimizer, set_rate
from .own_process import leave_if_forked
from .retraining_rate import rate_factor
from .step import Step


def num_steps(num_samples: int, batch_size: int) -> int:
    """Optimiser steps an epoch. A last batch of one sample is left out: batch norm cannot take it."""
    full, rest = divmod(num_samples, batch_size)
    return full + (1 if rest > 1 or (full == 0 and rest) else 0)


OnEpoch = Callable[[dict[str, Any], torch.optim.Optimizer], None]


@dataclass(kw_only=True)
class Progress:
    """The round and its next epoch, and the test results before and after the first pruning.

    `rate_factor`: of the round, see `rate_factor` in retraining_rate.py.
    """

    round: int = 0
    epoch: int = 0
    before: dict[str, Any] = field(default_factory=dict)
    pruned: dict[str, Any] = field(default_factory=dict)
    rate_factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Training:
    """One run's training: model, pruner (attached), data and recipe.

    `dense_epochs`: of the dense training whose weights it starts from, 0 for a checkpoint of the user's; None: it
    starts from an initialisation.
    """

    model: nn.Module
    pruner: Pruner
    data: Data
    recipe: Recipe
    seed: int
    device: torch.device
    clock: Clock = field(default_factory=Clock)
    compile: Compile = "none"
    graph: GraphLog = field(default_factory=GraphLog)
    progress: Progress = field(default_factory=Progress)
    explored: Explored = field(default_factory=Explored)
    dense_epochs: int | None = None

    @property
    def steps_per_epoch(self) -> int:
        return num_steps(len(self.data.train), self.recipe.batch_size)

    def run(self, on_epoch: OnEpoch, optimizer_state: dict[str, Any] | None = None) -> None:
        """Train all rounds, beginning at `progress`. An optimiser state from a checkpoint resumes the round it is from.

        `on_epoch(record, optimizer)` is called after every epoch; `progress` is then the position to resume from. It
        stops the training by raising an exception.

        Raises Diverged, RuntimeError for masks that do not hold, or whatever the method raises.
        """
        for index in range(self.progress.round, self.pruner.rounds):
            if optimizer_state is None:
                self._begin_round(index)
            self.run_round(index, self.progress.epoch, on_epoch, optimizer_state)
            optimizer_state = None

    def _begin_round(self, index: int) -> None:
        progress = self.progress
        if index == 0:
            progress.before = self.measure_test()
        with self.clock.measure("prune"):
            self._prune(index)
            self._recalibrate(index)
        self._check()
        self.explored.note(self.pruner.masks)
        if index == 0:
            progress.pruned = self.measure_test() if self.pruner.masks is not None else progress.before
        progress.round, progress.epoch = index, self.pruner.first_epoch(index)

    def _prune(self, index: int) -> None:
        """The pruning before a round, and what it makes of the learning rate of a retraining."""
        recipe, pruner, dense_epochs = self.recipe, self.pruner, self.dense_epochs
        if dense_epochs is None and index > 0:
            dense_epochs = recipe.trained_epochs
        if recipe.schedule != "adaptive_linear" or dense_epochs is None:
            pruner.begin_round(index)
            return
        sites = pruner.context.sites
        before = [site.weight.detach().clone() for site in sites]
        pruner.begin_round(index)
        epochs = recipe.trained_epochs - pruner.first_epoch(index)
        budget = epochs / dense_epochs if dense_epochs else 0.0
        self.progress.rate_factor = rate_factor(before, [site.weight.detach() for site in sites], budget)

    def _recalibrate(self, index: int) -> None:
        """Statistics of batch norm for the pruned weights, if the recipe asks for it: the same in every process."""
        recipe = self.recipe
        if recipe.recalibrate_bn:
            check_recalibration(self.model, recipe)
            order = torch.Generator().manual_seed(derive_seed(self.seed, "batch norm", index))
            batches = self.data.train.batches(recipe.batch_size, device=self.device, order=order)
            estimate_batch_norm(self.model, islice(batches, recipe.recalibrate_bn), recipe, self.device)

    def run_round(
        self, index: int, first_epoch: int, on_epoch: OnEpoch, optimizer_state: dict[str, Any] | None = None
    ) -> None:
        """Train from `first_epoch` to the last one that is trained, with a new optimiser or one from a checkpoint."""
        optimizer = make_optimizer(self.recipe, self.pruner, self.device)
        if optimizer_state is not None:
            optimizer.load_state_dict(optimizer_state)
        distributed.check_shares(len(self.data.train), self.recipe.batch_size)
        network = distributed.parallel(self.model)
        step = Step(
            network=self._compiled(network), pruner=self.pruner, optimizer=optimizer, recipe=self.recipe,
            device=self.device, clock=self.clock, plain=None if self.compile == "none" else network,
            full_size=min(self.recipe.batch_size, len(self.data.train)) // distributed.world(),
        )  # fmt: skip
        if self.graph.is_open(self.device, self.compile):
            step = GraphedStep.of(step, self.graph)
        for epoch in range(first_epoch, self.recipe.trained_epochs):
            # Order and dropout depend on the seed and the position alone, so a resumed training draws the same.
            torch.manual_seed(derive_seed(self.seed, "noise", index, epoch) + distributed.rank())
            order = torch.Generator().manual_seed(derive_seed(self.seed, "order", index, epoch))
            with self.clock.measure("train"):
                loss = self._train_epoch(step, epoch, order)
                self.pruner.on_epoch_end(index, epoch, optimizer)
            record = {"round": index, "epoch": epoch, "lr": optimizer.param_groups[0]["lr"], "train_loss": loss}
            with self.clock.measure("evaluate"):
                record |= self._evaluate_epoch()
            leave_if_forked()
            self._check()
            self.progress.round, self.progress.epoch = index, epoch + 1
            on_epoch(record, optimizer)

    def _compiled(self, network: nn.Module) -> nn.Module:
        """Shares its parameters with `network`; evaluation and scores go on with the plain one."""
        if self.compile == "none":
            return network
        return cast(nn.Module, torch.compile(network, mode=None if self.compile == "default" else self.compile))

    def _train_epoch(self, step: Step, epoch: int, order: torch.Generator) -> float:
        """Mean training loss of the epoch."""
        recipe, device = self.recipe, self.device
        step.network.train()
        losses = torch.zeros((), device=device)
        rank, world = distributed.rank(), distributed.world()
        batches = self.data.train.batches(
            recipe.batch_size, device=device, order=order, augment=True, rank=rank, world=world
        )
        steps, num_all = self.steps_per_epoch, None
        for i, (inputs, targets) in zip(range(steps), batches, strict=False):
            index = epoch * steps + i
            set_rate(step.optimizer, recipe, epoch, index, steps, self.progress.rate_factor)
            if world > 1:
                num_all = min(recipe.batch_size, len(self.data.train) - i * recipe.batch_size)
            losses += step(index, inputs, targets, num_all)
            self.explored.note(self.pruner.masks)
        distributed.average_statistics(self.model)
        mean = distributed.total(losses).item() / world / steps
        if not math.isfinite(mean):
            raise Diverged(f"training loss is {mean} in epoch {epoch}")
        return mean

    def _evaluate_epoch(self) -> dict[str, Any]:
        """Validation and test after each epoch. The test numbers are only ever reported."""
        validation, test = self._evaluate(self.data.validation, self.data.test)
        return {
            "validation_accuracy": validation.accuracy,
            "validation_loss": validation.loss,
            "test_accuracy": test.accuracy,
            "test_top5": test.top5,
            "test_loss": test.loss,
        }

    def measure_test(self) -> dict[str, Any]:
        """The current accuracy, top-5 accuracy and loss on the test set."""
        with self.clock.measure("evaluate"):
            (test,) = self._evaluate(self.data.test)
        return {"accuracy": test.accuracy, "top5": test.top5, "loss": test.loss}

    def _evaluate(self, *splits: Split) -> list[Evaluation]:
        return evaluate(self.model, splits, self.recipe, self.device, self.data.input_shape)

    def _check(self) -> None:
        """Pruned weights are zero, and every process has the same masks."""
        check_masks(self.pruner, at_end=False)
        distributed.check_same(self.pruner.masks)
