"""A fair race: the suite's training against a plain, well-written PyTorch loop, on equal terms.

    python -m prunebench.benchmark.perf.race [--threads 1] [--repeats 3] [--samples 5000] [--only lenet]
                                             [--precision bfloat16] [--compile default] [--cuda-graph auto]
                                             [--device cpu] [--write FILE]

Both train the same pruned network by SGD with momentum and weight decay on the same samples, batch size and number of
threads, and keep pruned weights at zero after every step. The plain loops are what the suite replaces:

- `transforms`: a DataLoader over a torchvision-like data set, whose transforms decode, augment and normalise one image
  at a time, in the training process (more processes would be more cores), and one product of weights and mask for each
  layer and step. OpenLTH trains like this;
- `masked layers`: the same, but layers multiply weight and mask in every forward pass (torch.nn.utils.prune) instead
  of after every step. ShrinkBench and Synaptic-Flow train like this; the latter also masks biases, normalisation and
  shortcuts, which is left out here;
- `tensors`: a DataLoader over images that are normalised tensors already. It cannot augment, so it is only in rows
  without augmentation.

Timed are epochs of training without evaluation, after a warm-up epoch. All ways take turns, each in a process of its
own: the suite's keeps freed memory as its runs do, the others have the default allocator. `data share` is the part of
the suite's epoch in which its steps wait for their batches. `--precision`, `--compile` and `--cuda-graph` apply to the
suite's training only.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from ...datasets.parts.in_memory_split import ResidentSplit
from ..api.data import Data
from ..api.errors import UserError
from ..models.registry import create_model
from ..runs.run import Precision, Recipe
from ..runs.settings import Compile, CudaGraph
from ..training.cuda_graph import GraphLog
from ..training.loop import Training
from ..training.memory import keep_freed
from ..training.memory_format import choose_memory_format
from ..training.precision import check_precisions, set_precision
from .command_line import Parser, positive
from .courses import COURSES, Course, drawn, split_of
from .plain_loops import Images, plain_epoch, with_masked_layers
from .side_by_side import CPU, OwnProcess, machine, markdown, median_seconds
from .task import Masked, context_of

SPARSITY = 0.9
PLAIN = ("transforms", "masked layers", "tensors")


class ClockedSplit(ResidentSplit):
    """Sums the seconds that a training waits for its batches."""

    waited = 0.0

    def batches(self, *arguments: Any, **options: Any) -> Iterator[tuple[Tensor, Tensor]]:
        begin = time.perf_counter()
        batches = super().batches(*arguments, **options)
        self.waited += time.perf_counter() - begin
        return self._clocked(batches)

    def _clocked(self, batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            begin = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - begin
            if batch is None:
                return
            yield batch


@dataclass(frozen=True)
class Entry:
    """One way of training in the race; it is called in a process of its own and returns one epoch of training.

    The suite's epoch returns the seconds that it waited for batches.
    """

    way: str
    course: Course
    num_samples: int
    threads: int
    precision: Precision
    compile: Compile
    device: torch.device = CPU
    cuda_graph: CudaGraph = "off"

    def __call__(self) -> Callable[[], object]:
        torch.set_num_threads(self.threads)
        course, device = self.course, self.device
        images, targets = drawn(course, self.num_samples)
        split = split_of(course, images, targets, ClockedSplit)
        recipe = Recipe(epochs=1, batch_size=course.batch_size, lr=0.01, nesterov=True, weight_decay=5e-4)
        recipe_of_ours = replace(recipe, precision=self.precision)
        training, masks = our_training(course, split, recipe_of_ours, self.compile, device, GraphLog(self.cuda_graph))
        if self.way not in PLAIN:
            keep_freed(device)
            set_precision(self.precision)
            return functools.partial(_our_epoch, training, split)
        if self.way == "tensors":
            samples: Dataset[Any] = TensorDataset(*split.sample(torch.arange(self.num_samples), device=device))
        else:
            samples = Images(images, targets, course.transform)
        loader = DataLoader(samples, course.batch_size, shuffle=True)
        if self.way == "masked layers":
            return plain_epoch(with_masked_layers(_network(course).to(device), masks), {}, recipe, loader, device)
        return plain_epoch(_network(course).to(device), masks, recipe, loader, device)


def race(
    course: Course, samples: int, repeats: int, threads: int, precision: Precision, compile: Compile,
    device: torch.device = CPU, cuda_graph: CudaGraph = "off",
) -> list[str]:  # fmt: skip
    """One row of the table."""
    num_samples = max(4 * course.batch_size, int(samples * course.share) // course.batch_size * course.batch_size)
    names = ["ours", *(name for name in PLAIN if name != "tensors" or not course.augments)]
    waited: list[Any] = []
    with contextlib.ExitStack() as stack:
        ways: dict[str, Callable[[], object]] = {
            name: stack.enter_context(
                OwnProcess(Entry(name, course, num_samples, threads, precision, compile, device, cuda_graph))
            )
            for name in names
        }
        ours = ways["ours"]
        seconds = median_seconds({**ways, "ours": lambda: waited.append(ours())}, repeats, warmup=1)
    rates = {name: num_samples / value for name, value in seconds.items()}
    compared: list[str] = []
    for name in PLAIN:
        compared += [f"{rates[name]:,.0f}", f"{rates['ours'] / rates[name]:.2f}x"] if name in rates else ["–", "–"]
    return [course.title, f"{rates['ours']:,.0f}", *compared, f"{statistics.median(waited[1:]) / seconds['ours']:.1%}"]


def _our_epoch(training: Training, split: ClockedSplit) -> float:
    split.waited = 0.0
    training.run_round(0, 0, lambda record, optimizer: None)
    return split.waited


def _network(course: Course) -> nn.Module:
    torch.manual_seed(0)
    return create_model(course.model, num_classes=course.num_classes, input_shape=course.shape)


def our_training(
    course: Course, split: ResidentSplit, recipe: Recipe, compile: Compile, device: torch.device, graph: GraphLog
) -> tuple[Training, dict[str, Tensor]]:
    """The suite's training of the network, pruned by magnitude; and the masks, for the plain loops."""
    model = _network(course).to(device)
    model = model.to(memory_format=choose_memory_format("auto", model, course.shape, device))
    nothing = ResidentSplit(torch.zeros(0, *course.shape), torch.zeros(0, dtype=torch.int64))
    data = Data(
        name="race", input_shape=course.shape, num_classes=course.num_classes, train=split,
        validation=nothing, test=nothing, fingerprint="",
    )  # fmt: skip
    pruner = Masked(sparsity=SPARSITY)
    pruner.attach(context_of(model, course.shape, num_classes=course.num_classes, device=device))
    pruner.begin_round(0)
    training = Training(
        model=model, pruner=pruner, data=data, recipe=recipe, seed=0, device=device, compile=compile, graph=graph
    )
    return training, {name: mask.clone() for name, mask in pruner.masks.items()}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--repeats", type=positive, default=3)
    parser.add_argument("--samples", type=positive, default=5000, help="of an epoch, scaled by the cost of the network")
    parser.add_argument("--only", default="", help="part of a network's name")
    parser.add_argument("--precision", choices=get_args(Precision), default="float32", help="of the suite's training")
    parser.add_argument("--compile", choices=get_args(Compile), default="none", help="the suite's training step")
    parser.add_argument("--cuda-graph", choices=get_args(CudaGraph), default="off", help="the suite's training step")
    parser.add_argument("--write", type=Path, help="a Markdown file; README.md shows docs/race.md")
    arguments = parser.parse_args()
    try:
        check_precisions([arguments.precision], arguments.device)
    except UserError as error:
        parser.error(str(error))
    courses = [course for course in COURSES if arguments.only in course.model]
    if not courses:
        known = ", ".join(course.model for course in COURSES)
        parser.error(f"argument --only: {arguments.only!r} is part of no network's name; they are {known}")
    compared = [heading for name in PLAIN for heading in (name, "ratio")]
    headings = ["images a second", "prunebench", *compared, "data share"]
    rows = [
        race(
            course,
            arguments.samples,
            arguments.repeats,
            arguments.threads,
            arguments.precision,
            arguments.compile,
            arguments.device,
            arguments.cuda_graph,
        )
        for course in courses
    ]
    compiled = "" if arguments.compile == "none" else f", compiled ({arguments.compile})"
    how = f"{arguments.threads} thread(s), {arguments.precision}{compiled}, medians of {arguments.repeats}"
    how += f"; {machine(arguments.device)}"
    text = f"{how}\n\n{markdown(headings, rows)}"
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
