"""What pruning costs a training step: keeping masks exact, and each method's own work.

    python -m prunebench.benchmark.perf.mask_upkeep [--repeats 7] [--threads 1]      networks, with masks and without
    python -m prunebench.benchmark.perf.mask_upkeep --methods [--only rigl,dpf]      every method on a small network

A step is forward, backward and the optimiser, on random images. Networks: the time of `on_weights` over that of a
whole step, and whole steps with masks beside steps without, in turns. Methods: steps with the method's hooks beside
steps of dense training, in turns, over a training in which all its events fall; scores before training are not in it
(`score_methods` measures those).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...methods.base import Pruner
from ...methods.registry import create, describe, method_names
from ..errors import UserError
from ..memory_format import choose_memory_format
from ..models.registry import create_model
from ..run import Recipe
from ..training import make_optimizer
from .side_by_side import machine, markdown, median_seconds
from .task import Masked, context_of

SPARSITY = 0.9
CPU = torch.device("cpu")
RECIPE = Recipe(epochs=1, lr=0.01, nesterov=True, weight_decay=5e-4)
NETWORKS = (
    ("resnet-32", (3, 32, 32), 10, 16),
    ("resnet-32", (3, 32, 32), 10, 128),
    ("wrn-28-8", (3, 32, 32), 10, 8),
    ("resnet-50", (3, 224, 224), 1000, 8),
)
STEPS = 40


class Steps:
    """Training steps of one network under one pruner, on one batch."""

    def __init__(
        self, model_name: str, shape: tuple[int, ...], num_classes: int, batch_size: int, pruner: Pruner, steps: int = 1
    ) -> None:
        torch.manual_seed(0)
        model = create_model(model_name, num_classes=num_classes, input_shape=shape)
        context = context_of(
            self._placed(model, shape), shape, num_classes=num_classes, epochs=4, steps_per_epoch=max(1, steps // 4),
            name=model_name,
        )  # fmt: skip
        self.pruner = pruner
        self.model = self._placed(pruner.attach(context), shape)
        pruner.begin_round(0)
        self.optimizer = make_optimizer(RECIPE, pruner, CPU)
        self.inputs = torch.randn(batch_size, *shape)
        self.targets: Tensor = torch.randint(num_classes, (batch_size,))
        self.model.train()

    @staticmethod
    def _placed(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
        return model.to(memory_format=choose_memory_format("auto", model, shape))

    def step(self, index: int) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        cross_entropy(self.model(self.inputs), self.targets).backward()
        if not self.pruner.on_gradients(index, self.optimizer):
            self.optimizer.step()
        self.pruner.on_weights(index, self.optimizer)

    def epoch(self, steps: int) -> Callable[[], None]:
        def run() -> None:
            for index in range(steps):
                self.step(index)

        return run


def network_row(model: str, shape: tuple[int, ...], num_classes: int, batch_size: int, repeats: int) -> list[str]:
    masked = Steps(model, shape, num_classes, batch_size, Masked(sparsity=SPARSITY))
    dense = Steps(model, shape, num_classes, batch_size, Pruner(start="init"))
    seconds = median_seconds({"masked": lambda: masked.step(0), "dense": lambda: dense.step(0)}, repeats)
    applications = 20
    begin = time.perf_counter()
    for _ in range(applications):
        masked.pruner.on_weights(0, masked.optimizer)
    upkeep = (time.perf_counter() - begin) / applications
    return [
        f"{model}, {' x '.join(map(str, shape))}, batch {batch_size}",
        f"{seconds['dense'] * 1e3:.0f}",
        f"{upkeep * 1e3:.2f}",
        f"{upkeep / seconds['dense']:.2%}",
        f"{seconds['masked'] / seconds['dense'] - 1:+.1%}",
    ]


def method_row(name: str, repeats: int) -> list[str]:
    """A small network at a usual batch size: cheap steps, so that what methods add shows."""
    label = describe(name).label
    problem = ("convnet-small", (1, 28, 28), 10, 64)
    try:
        ours = Steps(*problem, _created(name), STEPS)
    except (ValueError, UserError) as error:
        return [label, f"not measured: {error}", ""]
    dense = Steps(*problem, Pruner(start="init"), STEPS)
    seconds = median_seconds({"ours": ours.epoch(STEPS), "dense": dense.epoch(STEPS)}, repeats)
    return [
        label,
        f"{(seconds['ours'] - seconds['dense']) / STEPS * 1e3:+.2f}",
        f"{seconds['ours'] / seconds['dense'] - 1:+.1%}",
    ]


def _created(name: str) -> Pruner:
    """At the sparsity of the table, or without one where a method takes none."""
    try:
        return create(name, SPARSITY, {})
    except (ValueError, UserError):
        return create(name, 0.0, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--methods", action="store_true")
    parser.add_argument("--only", default="", help="comma-separated names of methods or networks")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    wanted = set(filter(None, arguments.only.split(",")))
    print(f"{SPARSITY:.0%}, {arguments.threads} thread(s), medians of {arguments.repeats}; {machine()}\n")
    if arguments.methods:
        headings = ["method", "extra ms a step", "over dense training"]
        rows = [method_row(name, arguments.repeats) for name in method_names() if not wanted or name in wanted]
    else:
        headings = ["network", "step (ms)", "masks (ms)", "share of a step", "masked over dense, whole steps"]
        rows = [network_row(*network, arguments.repeats) for network in NETWORKS if not wanted or network[0] in wanted]
    print(markdown(headings, rows))


if __name__ == "__main__":
    main()
