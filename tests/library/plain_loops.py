"""The harness's toy training as a user would write it: a model, an optimiser, a loop, and two lines of prunebench."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import prunebench
import torch
from prunebench.benchmark.runs.run import derive_seed
from prunebench.methods.checks.subject import Subject
from prunebench.methods.checks.trial import ToyTask
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def samples(task: ToyTask) -> tuple[Tensor, Tensor]:
    """The training samples of the task, as tensors of one's own."""
    train = task.data.train
    return train.sample(torch.arange(len(train)), device=torch.device("cpu"))


def optimizer_of(model: nn.Module, task: ToyTask) -> torch.optim.Optimizer:
    """Matrices decay, vectors do not, as the recipe says."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 1e-2},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if task.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.Adam(groups, lr=0.01, fused=True)


def batches(task: ToyTask, epoch: int) -> list[tuple[Tensor, Tensor]]:
    """In the harness's order of this epoch."""
    inputs, targets = samples(task)
    order = torch.Generator().manual_seed(derive_seed(task.seed, "order", 0, epoch))
    places = torch.randperm(len(targets), generator=order)
    return [(inputs[part], targets[part]) for part in places.split(task.batch_size)]


def train(model: nn.Module, optimizer: torch.optim.Optimizer, task: ToyTask, epochs: range) -> None:
    for epoch in epochs:
        torch.manual_seed(derive_seed(task.seed, "noise", 0, epoch))
        for inputs, targets in batches(task, epoch):
            model.train()
            optimizer.zero_grad()
            cross_entropy(model(inputs), targets).backward()
            optimizer.step()
            model.eval()


def wrapped(
    subject: Subject, task: ToyTask, model: nn.Module, optimizer: torch.optim.Optimizer, **changes: Any
) -> prunebench.Wrapped:
    return prunebench.wrap(
        model, optimizer, subject.info.name, sparsity=subject.sparsity, steps=task.epochs * task.steps_per_epoch,
        steps_per_epoch=task.steps_per_epoch, data=samples(task), seed=task.seed, **subject.options, **changes,
    )  # fmt: skip


def plain_loop(
    subject: Subject, task: ToyTask, before: Callable[[nn.Module], None] = lambda model: None
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The trained network and its masks."""
    model = subject.network()
    before(model)
    optimizer = optimizer_of(model, task)
    pruning = wrapped(subject, task, model, optimizer)
    train(model, optimizer, task, range(task.epochs))
    assert pruning.finish() is model
    return model, pruning.masks
