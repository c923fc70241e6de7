"""What pruning costs a training step: keeping masks exact, and each method's own work.

    python -m prunebench.benchmark.perf.mask_upkeep [--repeats 7] [--device cpu]     networks, with masks and without
    python -m prunebench.benchmark.perf.mask_upkeep --methods [--only rigl,dpf]      every method on a small network

A step is forward, backward and the optimiser, on random images. Networks: the time of `on_weights` over that of a
whole step, and whole steps with masks beside steps without, in turns. Methods: steps with the method's hooks beside
steps of dense training, in turns, over whole trainings with all events of the method. Of each step the fastest of all
trainings counts. Scores before training are not measured here but by `score_methods`.
"""

from __future__ import annotations

import argparse
import math
import time

import torch
from torch import Tensor, nn

from ...methods.registry import create, describe, method_names
from ..api.errors import UserError
from ..api.pruner import Pruner
from ..models.registry import create_model
from ..runs.run import Recipe
from ..training.memory import keep_freed
from ..training.memory_format import choose_memory_format
from ..training.precision import set_precision
from .command_line import Parser, positive, several
from .side_by_side import CPU, all_seconds, machine, markdown, markdown_row, settle
from .task import Masked, Seconds, context_of, make_step, timed_step

SPARSITY = 0.9
RECIPE = Recipe(epochs=1, lr=0.01, nesterov=True, weight_decay=5e-4)
NETWORKS = (
    ("resnet-32", (3, 32, 32), 10, 16),
    ("resnet-32", (3, 32, 32), 10, 128),
    ("wrn-28-8", (3, 32, 32), 10, 8),
    ("resnet-50", (3, 224, 224), 1000, 8),
)
STEPS = 400
"""Of a training with a method: a few times the usual 100 between updates."""


class Steps:
    """Training steps of one network under one pruner, on one batch."""

    def __init__(
        self, model_name: str, shape: tuple[int, ...], num_classes: int, batch_size: int, pruner: Pruner,
        steps: int = 1, device: torch.device = CPU,
    ) -> None:  # fmt: skip
        self._device = device
        torch.manual_seed(0)
        model = create_model(model_name, num_classes=num_classes, input_shape=shape)
        context = context_of(
            self._placed(model, shape), shape, num_classes=num_classes, epochs=4, steps_per_epoch=max(1, steps // 4),
            name=model_name, device=device,
        )  # fmt: skip
        self.pruner = pruner
        self.model = self._placed(pruner.attach(context), shape)
        pruner.begin_round(0)
        self._step = make_step(self.model, pruner, RECIPE, device)
        self.inputs = torch.randn(batch_size, *shape, device=device)
        self.targets: Tensor = torch.randint(num_classes, (batch_size,), device=device)
        self.model.train()

    def _placed(self, model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
        model = model.to(self._device)
        return model.to(memory_format=choose_memory_format("auto", model, shape, self._device))

    def step(self, index: int) -> Seconds:
        return timed_step(self._step, index, self.inputs, self.targets)

    def upkeep(self) -> None:
        """Put pruned weights back to zero, as after a step."""
        self.pruner.on_weights(0, self._step.optimizer)


def network_row(
    model: str, shape: tuple[int, ...], num_classes: int, batch_size: int, repeats: int, device: torch.device = CPU
) -> list[str]:
    masked = Steps(model, shape, num_classes, batch_size, Masked(sparsity=SPARSITY), device=device)
    dense = Steps(model, shape, num_classes, batch_size, Pruner(start="init"), device=device)
    timed = all_seconds({"masked": lambda: masked.step(0), "dense": lambda: dense.step(0)}, repeats)
    # minima, as medians of the same work differ by 5 %, which is more than the effect
    seconds = {name: min(values) for name, values in timed.items()}
    applications = 20
    begin = time.perf_counter()
    for _ in range(applications):
        masked.upkeep()
    settle(device)
    upkeep = (time.perf_counter() - begin) / applications
    return [
        f"{model}, {' x '.join(map(str, shape))}, batch {batch_size}",
        f"{seconds['dense'] * 1e3:.0f}",
        f"{upkeep * 1e3:.2f}",
        f"{upkeep / seconds['dense']:.2%}",
        f"{seconds['masked'] / seconds['dense'] - 1:+.1%}",
    ]


def method_row(name: str, repeats: int, device: torch.device = CPU) -> list[str]:
    """On the demo's network and batch size: its steps are cheap, so the method's share is visible."""
    label = describe(name).label
    problem = ("convnet-small", (1, 8, 8), 10, 32)
    ours, hooks, dense = ([math.inf] * STEPS for _ in range(3))
    try:
        for _ in range(repeats):
            # new ones each time: most methods cannot train twice
            method, plain = (
                Steps(*problem, pruner, STEPS, device) for pruner in (_created(name), Pruner(start="init"))
            )
            for index in range(STEPS):
                found = method.step(index)
                ours[index], hooks[index] = min(ours[index], found.step), min(hooks[index], found.hooks)
                dense[index] = min(dense[index], plain.step(index).step)
    except (ValueError, UserError) as error:
        return [label, f"not measured: {error}", "", ""]
    return [
        label,
        f"{sum(hooks) / STEPS * 1e3:.3f}",
        f"{sum(hooks) / sum(dense):.1%}",
        f"{sum(ours) / sum(dense) - 1:+.1%}",
    ]


def _created(name: str) -> Pruner:
    """At the sparsity of the table, or at 0 for a method that refuses it."""
    try:
        return create(name, SPARSITY, {})
    except (ValueError, UserError):
        return create(name, 0.0, {})


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--repeats", type=positive, default=7)
    parser.add_argument("--methods", action="store_true")
    parser.add_argument("--only", default="", help="comma-separated names of networks, or with --methods of methods")
    arguments = parser.parse_args()
    try:
        wanted = several(method_names() if arguments.methods else [name for name, *_ in NETWORKS])(arguments.only)
    except argparse.ArgumentTypeError as error:
        parser.error(f"argument --only: {error}")
    torch.set_num_threads(arguments.threads)
    set_precision(RECIPE.precision)
    keep_freed(arguments.device)
    how = f"{SPARSITY:.0%}, {RECIPE.precision}, {arguments.threads} thread(s), fastest of {arguments.repeats}"
    print(f"{how}; {machine(arguments.device)}\n")
    if arguments.methods:
        print(markdown(["method", "hooks (ms a step)", "share of a step", "over dense, whole steps"], []))
        for name in wanted:
            print(markdown_row(method_row(name, arguments.repeats, arguments.device)), flush=True)
        return
    print(markdown(["network", "step (ms)", "masks (ms)", "share of a step", "masked over dense, whole steps"], []))
    for network in NETWORKS:
        if network[0] in wanted:
            print(markdown_row(network_row(*network, arguments.repeats, arguments.device)), flush=True)


if __name__ == "__main__":
    main()
