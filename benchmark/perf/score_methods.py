"""What each method's decisions take on a large network: seconds, in training steps, and memory beyond a dense training.

    python -m prunebench.benchmark.perf.score_methods [--model resnet-50] [--size 64] [--batch 16] [--only snip,lamp]
                                                      [--device cpu]

Weights and inputs are random: the work is measured, not the masks. Every method runs in two processes of its own, one
for its time and one for its peak memory. Each process first trains the dense network, for comparison. For the memory
the batch is small, and methods of many rounds prune in two. Compare ratios between machines, not seconds. Prints
Markdown; score_methods.md is the output of one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

import torch

from ...methods.dense import Dense
from ...methods.registry import create, describe, method_names
from ..api.errors import UserError
from ..api.pruner import Context, Pruner
from ..models.registry import create_model, model_names
from ..runs.run import Recipe
from ..training import memory
from ..training.precision import set_precision
from .command_line import Parser, positive, several
from .side_by_side import CPU, machine, markdown, markdown_row, settle
from .task import context_of, make_step, timed_step

SPARSITIES = (0.9, 0.5, 0.0)
"""The first that a method takes."""
NUM_CLASSES = 1000
MAX_SAMPLES = 16
NUM_STEPS = 4
FEWER_GRADIENTS = {"fisher_gradients": 4}
"""For methods with blocks of the Fisher matrix: with their default of 400 they take hours on two cores."""
MEMORY_BATCH = 4
TIMEOUT_SECONDS = 1800
HEADINGS = (
    "method", "before training (s)", "in steps", "costliest update (s)", "in steps", "memory beyond (models)"
)  # fmt: skip
RETURNS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
"""Tensors of more than 64 kB go back to the system when they are freed, so that the peak has no gaps in it. It doubles
the time of a step."""
RECIPE = Recipe(epochs=1, lr=1e-4, weight_decay=1e-4, decay_norm=False)
"""The rate is low: with random targets a high one leads to weights that have no finite scores."""


class Bench:
    """A network with random data, and the clock."""

    def __init__(self, model_name: str, size: int, batch: int, device: torch.device = CPU) -> None:
        self.model_name, self.shape, self.device = model_name, (3, size, size), device
        torch.manual_seed(0)
        self.model = create_model(model_name, num_classes=NUM_CLASSES, input_shape=self.shape).to(device)
        self.inputs = torch.randn(batch, *self.shape, device=device)
        self.targets = torch.randint(NUM_CLASSES, (batch,), device=device)

    def context(self) -> Context:
        return context_of(
            self.model, self.shape, num_classes=NUM_CLASSES, batch_size=len(self.inputs),
            steps_per_epoch=2 * NUM_STEPS, name=self.model_name, max_samples=MAX_SAMPLES, device=self.device,
        )  # fmt: skip

    def run(self, pruner: Pruner) -> dict[str, float]:
        """Seconds of the decisions before training, of the costliest update, of the fastest step; peak bytes."""
        memory.reset_peak(self.device)
        began = time.perf_counter()
        model = pruner.attach(self.context())
        for index in range(min(2, pruner.rounds)):  # methods of several rounds prune before the second
            pruner.begin_round(index)
        settle(self.device)
        before = time.perf_counter() - began
        step = make_step(model, pruner, RECIPE, self.device)
        steps = [timed_step(step, index, self.inputs, self.targets) for index in range(NUM_STEPS)]
        return {
            "before": before,
            "update": max(seconds.hooks for seconds in steps),
            "step": min(seconds.step - seconds.hooks for seconds in steps),
            "peak": memory.peak(self.device),
        }


def measure(
    method: str, model_name: str, size: int, batch: int, *, few_rounds: bool, device: torch.device = CPU
) -> dict[str, Any]:
    """What the method takes, and what a dense training in the same process takes."""
    set_precision(RECIPE.precision)
    bench = Bench(model_name, size, batch, device)
    dense = bench.run(Dense())
    bench.model.zero_grad()
    model_bytes = sum(parameter.numel() * parameter.element_size() for parameter in bench.model.parameters())
    for sparsity in SPARSITIES:
        try:
            found = bench.run(make(method, sparsity, few_rounds))
        except (UserError, ValueError):
            if sparsity == SPARSITIES[-1]:
                raise
        else:
            return {**found, "step": dense["step"], "beyond": found["peak"] - dense["peak"], "model_bytes": model_bytes}
    raise AssertionError


def make(method: str, sparsity: float, few_rounds: bool) -> Pruner:
    """The method with its defaults, but updates every other step: a training here has only four."""
    known = describe(method).options
    updates = "every" in known and ("schedule" not in known or known["schedule"].default == "cubic")
    options = {"every": 2} if updates else {}
    prunes_in_rounds = (
        "schedule" in known and known["schedule"].default == "exponential" and "prune_fraction" not in known
    )
    if few_rounds and prunes_in_rounds:
        options["prune_rounds"] = 2
    return create(method, sparsity, {**options, **(FEWER_GRADIENTS if "block_size" in known else {})})


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", choices=model_names(), default="resnet-50")
    parser.add_argument("--size", type=positive, default=64)
    parser.add_argument("--batch", type=positive, default=16)
    parser.add_argument("--only", type=several(method_names()), default="", help="comma-separated names of methods")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--few-rounds", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        found = measure(
            arguments.one, arguments.model, arguments.size, arguments.batch, few_rounds=arguments.few_rounds,
            device=arguments.device,
        )  # fmt: skip
        print(json.dumps(found))
        return
    what = f"{arguments.model}, {arguments.size} x {arguments.size} pixels, batch {arguments.batch}, {RECIPE.precision}"
    print(f"{what}; {machine(arguments.device)}.")
    print(f"Scores see at most {MAX_SAMPLES} samples, Fisher blocks {FEWER_GRADIENTS['fisher_gradients']} gradients.")
    print(f"Memory is of a process of its own, batch {MEMORY_BATCH}, in sizes of the model.\n")
    print(markdown(HEADINGS, []))
    for name in arguments.only:
        print(markdown_row(_cells(name, arguments)), flush=True)


def _cells(name: str, arguments: argparse.Namespace) -> list[str]:
    label, nothing = describe(name).label, [""] * (len(HEADINGS) - 2)
    try:
        timed = _child(name, arguments, arguments.batch, [], {})
        sized = _child(name, arguments, MEMORY_BATCH, ["--few-rounds"], RETURNS_MEMORY)
    except subprocess.TimeoutExpired:
        return [label, f"more than {TIMEOUT_SECONDS}", *nothing]
    except subprocess.CalledProcessError as error:
        return [label, error.stderr.strip().splitlines()[-1], *nothing]
    before, update, step = timed["before"], timed["update"], timed["step"]
    beyond = max(0.0, sized["beyond"] / sized["model_bytes"])
    return [
        label, f"{before:.2f}", f"{before / step:.2f}", f"{update:.3f}", f"{update / step:.2f}", f"{beyond:.2f}"
    ]  # fmt: skip


def _child(
    name: str, arguments: argparse.Namespace, batch: int, flags: list[str], environment: dict[str, str]
) -> dict[str, Any]:
    command = [sys.executable, "-m", "prunebench.benchmark.perf.score_methods", "--one", name, *flags]
    values = {"model": arguments.model, "size": arguments.size, "batch": batch, "device": arguments.device}
    command += [f"--{key}={value}" for key, value in values.items()]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS, env={**os.environ, **environment}
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
