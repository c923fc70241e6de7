"""What it brings that a process keeps memory its tensors free: training steps, each way in a process of its own.

    python -m prunebench.benchmark.perf.freed_memory [--threads 1] [--repeats 5] [--only resnet-20]

`defaults` is a step as torch does it unasked; `fast` runs channels last with a fused optimiser; `kept` does the same in
a process that keeps freed memory, as the suite's do. All take turns of a few steps. Printed are medians over the turns,
of a step's seconds (as ratios to `defaults`) and of its page faults, and the peak of each process's memory.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from ..models.registry import create_model
from ..training.memory import keep_freed, peak
from ..training.memory_format import choose_memory_format
from .side_by_side import OwnProcess, machine, markdown, markdown_row

CPU = torch.device("cpu")
WAYS = ("defaults", "fast", "kept")
NETWORKS = (
    ("convnet-small", (1, 8, 8), 32, 100),
    ("convnet-small", (1, 28, 28), 128, 10),
    ("mobilenet-small", (3, 32, 32), 64, 4),
    ("resnet-20", (3, 32, 32), 128, 3),
    ("resnet-50", (3, 224, 224), 8, 1),
    ("wrn-28-8", (3, 32, 32), 64, 1),
)
"""Name, shape of an image, batch size, steps of a turn."""


@dataclass(frozen=True)
class Turn:
    """Of a step: seconds and page faults; of the process so far: peak bytes."""

    seconds: float
    faults: float
    peak: int


@dataclass(frozen=True)
class Steps:
    """Training steps of one network on one batch, one way; called in a process of its own."""

    way: str
    model: str
    shape: tuple[int, int, int]
    batch_size: int
    steps: int
    threads: int

    def __call__(self) -> Callable[[], Turn]:
        torch.set_num_threads(self.threads)
        if self.way == "kept" and not keep_freed(CPU):
            raise OSError("memory cannot be kept: it takes glibc, and an environment that does not set up malloc")
        torch.manual_seed(0)
        model = create_model(self.model, num_classes=10, input_shape=self.shape)
        inputs, targets = torch.randn(self.batch_size, *self.shape), torch.randint(10, (self.batch_size,))
        is_fast = self.way != "defaults"
        if is_fast:
            memory_format = choose_memory_format("auto", model, self.shape, CPU)
            model, inputs = model.to(memory_format=memory_format), inputs.to(memory_format=memory_format)
        optimizer = torch.optim.SGD(
            model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=is_fast
        )

        def turn() -> Turn:
            faults, begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
            for _ in range(self.steps):
                optimizer.zero_grad()
                cross_entropy(model(inputs), targets).backward()
                optimizer.step()
            seconds = time.perf_counter() - begin
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
            return Turn(seconds / self.steps, faults / self.steps, peak(CPU))

        return turn


def row(model: str, shape: tuple[int, int, int], batch_size: int, steps: int, repeats: int, threads: int) -> list[str]:
    turns: dict[str, list[Turn]] = {way: [] for way in WAYS}
    with contextlib.ExitStack() as stack:
        processes = {
            way: stack.enter_context(OwnProcess(Steps(way, model, shape, batch_size, steps, threads))) for way in WAYS
        }
        for index in range(repeats + 1):
            for way, process in processes.items():
                turn = process()
                if index > 0:  # the first is to warm up
                    turns[way].append(turn)
    seconds = {way: statistics.median(turn.seconds for turn in turns[way]) for way in WAYS}
    faults = (f"{statistics.median(turn.faults for turn in turns[way]):,.0f}" for way in WAYS)
    peaks = (f"{max(turn.peak for turn in turns[way]) / 1e6:,.0f}" for way in WAYS)
    return [
        f"{model}, {' x '.join(map(str, shape))}, batch {batch_size}",
        f"{seconds['defaults'] * 1e3:,.1f}",
        *(f"{seconds['defaults'] / seconds[way]:.2f}x" for way in WAYS[1:]),
        " / ".join(faults),
        " / ".join(peaks),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="part of a network's name")
    arguments = parser.parse_args()
    print(f"{arguments.threads} thread(s), medians of {arguments.repeats}; {machine()}\n")
    print(markdown(["network", "defaults (ms)", *WAYS[1:], "page faults a step", "peak memory (MB)"], []))
    for network in NETWORKS:
        if arguments.only in network[0]:
            print(markdown_row(row(*network, arguments.repeats, arguments.threads)), flush=True)


if __name__ == "__main__":
    main()
