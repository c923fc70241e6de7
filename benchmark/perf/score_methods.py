"""Seconds and peak memory that each method takes to decide its first masks, beside one training step of the network.

    python -m prunebench.benchmark.perf.score_methods [--model resnet-50] [--size 64] [--batch 16] [--only snip,lamp]

Random weights and inputs: what is measured is the work, not the masks. Every method runs in a process of its own, so
that its peak memory is its own. Ratios to the training step, measured in the same process, are what travels between
machines. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...methods.base import Context
from ...methods.registry import create, describe, method_names
from .. import memory
from ..flops import count_macs
from ..models.registry import create_model
from ..pruning import find_sites

SPARSITY = 0.9
NUM_CLASSES = 1000
TIMEOUT_SECONDS = 900


def measure(method: str, model_name: str, size: int, batch: int) -> dict[str, Any]:
    """Seconds of `attach` and `begin_round`, of one training step, and the peaks of both in bytes."""
    torch.manual_seed(0)
    shape = (3, size, size)
    model = create_model(model_name, num_classes=NUM_CLASSES, input_shape=shape)
    inputs, targets = torch.randn(batch, *shape), torch.randint(NUM_CLASSES, (batch,))
    device = torch.device("cpu")

    def samples(
        num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        # One batch whatever is asked for: the time of a gradient is what is compared, not the number of samples.
        count = min(num_samples, batch_size)
        yield inputs[:count], targets[:count]

    def step() -> None:
        model.zero_grad()
        cross_entropy(model(inputs), targets).backward()

    step()
    memory.reset_peak(device)
    step_seconds = _seconds(step)
    step_peak = memory.peak(device)
    context = Context(
        model=model,
        sites=find_sites(model),
        samples=samples,
        loss=cross_entropy,
        macs=count_macs(model, shape),
        input_shape=shape,
        num_classes=NUM_CLASSES,
        device=device,
        epochs=1,
        steps_per_epoch=10,
        generator=lambda purpose: torch.Generator().manual_seed(0),
    )
    pruner = create(method, SPARSITY, {})
    memory.reset_peak(device)

    def prune() -> None:
        pruner.attach(context)
        pruner.begin_round(0)

    seconds = _seconds(prune)
    return {"seconds": seconds, "peak": memory.peak(device), "step_seconds": step_seconds, "step_peak": step_peak}


def _seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet-50")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--only", default="", help="comma-separated names")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.model, arguments.size, arguments.batch)))
        return
    names = arguments.only.split(",") if arguments.only else method_names()
    print(
        f"{arguments.model}, inputs of {arguments.size} x {arguments.size}, batch {arguments.batch}, {SPARSITY:.0%}\n"
    )
    print("| method | seconds | training steps | peak beyond a training step (MB) |\n|---|---|---|---|")
    for name in names:
        print(_line(name, arguments), flush=True)


def _line(name: str, arguments: argparse.Namespace) -> str:
    command = [sys.executable, "-m", "prunebench.benchmark.perf.score_methods", "--one", name]
    command += ["--model", arguments.model, "--size", str(arguments.size), "--batch", str(arguments.batch)]
    label = describe(name).label
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"| {label} | more than {TIMEOUT_SECONDS} | | |"
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        return f"| {label} | {reason} | | |"
    found = json.loads(done.stdout)
    ratio = found["seconds"] / found["step_seconds"]
    beyond = max(0, found["peak"] - found["step_peak"]) / 1e6
    return f"| {label} | {found['seconds']:.3f} | {ratio:.2f} | {beyond:.0f} |"


if __name__ == "__main__":
    main()
