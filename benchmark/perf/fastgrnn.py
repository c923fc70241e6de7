"""What FastGRNN's recurrence gains as one operation: steps on windows of HAR-2's shape, beside a plain loop over time.

    python -m prunebench.benchmark.perf.fastgrnn [--device cpu] [--threads 1] [--repeats 15]

`loop` is the cell as its equations are written, differentiated by autograd; `operation` is the suite's. Each runs in a
process of its own that keeps freed memory, as the suite's runs do. They take turns of a few steps with Adam, or of
forward passes without gradients. Printed are the medians over the turns, their ratio, and the least and greatest ratio
of a turn.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..api.pruner import Pruner
from ..models.fastgrnn import FastGrnn, FastGrnnCell, fastgrnn
from ..runs.run import Recipe
from ..training.memory import keep_freed
from ..training.precision import set_precision
from ..training.step import Step
from .command_line import Parser, positive
from .side_by_side import OwnProcess, machine, markdown, markdown_row, settle

WINDOW = (128, 9)
BATCH = 100
RECIPE = Recipe(epochs=1)
WAYS = ("loop", "operation")
CASES = (("training", 80), ("training", 8), ("evaluation", 80), ("evaluation", 8))
"""What is timed, and the rank of U (of 80)."""


class LoopCell(FastGrnnCell):
    """A loop over time that autograd differentiates."""

    def forward(self, sequences: Tensor) -> Tensor:
        zeta, nu = torch.sigmoid(self.zeta), torch.sigmoid(self.nu)
        driven = sequences @ self.W1 @ self.W2
        hidden = torch.zeros_like(driven[:, 0])
        for step in range(driven.shape[1]):
            shared = driven[:, step] + hidden @ self.U1 @ self.U2
            keep = torch.sigmoid(shared + self.bias_gate)
            candidate = torch.tanh(shared + self.bias_update)
            hidden = keep * hidden + (zeta * (1 - keep) + nu) * candidate
        return hidden


@dataclass(frozen=True)
class Steps:
    """Steps on one batch, one way; called in a process of its own."""

    way: str
    work: str
    rank_u: int
    device: torch.device
    steps: int
    threads: int

    def __call__(self) -> Callable[[], float]:
        torch.set_num_threads(self.threads)
        set_precision(RECIPE.precision)
        device = self.device
        keep_freed(device)
        torch.manual_seed(0)
        model = fastgrnn(num_classes=2, input_shape=WINDOW, rank_u=self.rank_u)
        if self.way == "loop":
            model = FastGrnn(LoopCell(WINDOW[1], 80, 9, self.rank_u), 2)
        model.to(device)
        inputs, targets = torch.randn(BATCH, *WINDOW, device=device), torch.randint(2, (BATCH,), device=device)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
        trained = Step(network=model, pruner=Pruner(), optimizer=optimizer, recipe=RECIPE, device=device)

        def train() -> None:
            trained(0, inputs, targets)

        def evaluate() -> None:
            with torch.no_grad():
                model(inputs)

        step = {"training": train, "evaluation": evaluate}[self.work]

        def turn() -> float:
            """Seconds of a step."""
            begin = time.perf_counter()
            for _ in range(self.steps):
                step()
            settle(device)
            return (time.perf_counter() - begin) / self.steps

        return turn


def row(work: str, rank_u: int, device: torch.device, repeats: int, threads: int, steps: int = 5) -> list[str]:
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with contextlib.ExitStack() as stack:
        processes = {
            way: stack.enter_context(OwnProcess(Steps(way, work, rank_u, device, steps, threads))) for way in WAYS
        }
        for index in range(repeats + 1):
            for way, process in processes.items():
                turn = process()
                if index > 0:  # the first is to warm up
                    seconds[way].append(turn)
    medians = {way: statistics.median(seconds[way]) for way in WAYS}
    ratios = [loop / operation for loop, operation in zip(*(seconds[way] for way in WAYS), strict=True)]
    return [
        f"{work}, ranks 9 and {rank_u}",
        *(f"{medians[way] * 1e3:.1f}" for way in WAYS),
        f"{medians['loop'] / medians['operation']:.1f}x ({min(ratios):.1f} to {max(ratios):.1f})",
    ]


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--repeats", type=positive, default=15)
    arguments = parser.parse_args()
    device = arguments.device
    windows = f"{BATCH} windows of {WINDOW[0]} x {WINDOW[1]}, hidden size 80"
    how = f"{RECIPE.precision}, {arguments.threads} thread(s), medians of {arguments.repeats}"
    print(f"{windows}, {device}, {how}; {machine(device)}\n")
    print(markdown(["step", *(f"{way} (ms)" for way in WAYS), "ratio"], []))
    for case in CASES:
        print(markdown_row(row(*case, device, arguments.repeats, arguments.threads)), flush=True)


if __name__ == "__main__":
    main()
