"""How fast is it, beside a plain loop and beside what the card can do?"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ....datasets.parts.in_memory_split import ResidentSplit
from ...api.masks import keep_largest_of, num_kept
from ...models.count_macs import count_macs
from ...models.registry import create_model
from ...runs.run import Precision, Recipe
from ...runs.settings import Compile, CudaGraph
from ...training import memory
from ...training.cuda_graph import CudaRecorder, GraphLog
from ...training.precision import set_precision
from .. import selection
from ..courses import Course, drawn, split_of
from ..plain_loops import one_batch_step
from ..race import Entry, our_training
from ..side_by_side import OwnProcess, machine, settle
from .part import Part

RESNET_32 = Course("resnet-32", (3, 32, 32), 128, augments=True, share=1.0)
WRN_28_8 = Course("wrn-28-8", (3, 32, 32), 128, augments=True, share=1.0)
RESNET_20 = Course("resnet-20", (3, 32, 32), 128, augments=True, share=1.0)
FASTGRNN = Course("fastgrnn", (128, 9), 100, augments=False, share=1.0, num_classes=2)
RESNET_50 = Course("resnet-50", (3, 224, 224), 128, augments=False, share=1.0, num_classes=1000)
STEPS = {"resnet-32": 60, "wrn-28-8": 20, "resnet-50": 10, "fastgrnn": 20}
"""Of an epoch."""
TIMED_EPOCHS = 3
"""After one to warm up."""
WEIGHTS = 25_502_912  # of ResNet-50
CIFAR_RUN = 160 * 45_000
"""Images of a training by the usual recipe."""


def card(part: Part) -> None:
    """Name, versions, and the ceilings that the other rows are compared with."""
    part.row("machine", machine(part.device))
    size = 64 if part.is_tiny else 8192
    ceilings = {}
    for kind, dtype in (("float32", torch.float32), ("tf32", torch.float32), ("bfloat16", torch.bfloat16)):
        set_precision(kind)
        one, other = (torch.randn(size, size, device=part.device).to(dtype) for _ in range(2))
        taken = part.seconds(lambda one=one, other=other: [one @ other for _ in range(4)])
        ceilings[kind] = 4 * 2 * size**3 / taken / 1e12
    _ceilings_file(part).write_text(json.dumps(ceilings), encoding="utf-8")
    source = torch.empty(2 ** (10 if part.is_tiny else 30), dtype=torch.uint8, device=part.device)
    copied = 2 * source.numel() / part.seconds(source.clone) / 1e12
    counter = torch.zeros(1, device=part.device)
    launch = part.seconds(lambda: [counter.add_(1) for _ in range(1000)]) / 1000
    shown = ", ".join(f"{kind} {value:.3g}" for kind, value in ceilings.items())
    part.row("peak of a matrix product", f"{shown} TFLOP/s; copies {copied:.2g} TB/s, a launch {launch * 1e6:.1f} us")


def _ceilings_file(part: Part) -> Path:
    return part.path.with_name("ceilings.json")


@dataclass(frozen=True)
class Way:
    """One way of training a network."""

    precision: Precision
    graph: CudaGraph = "off"
    compile: Compile = "none"

    def __str__(self) -> str:
        compiled = "" if self.compile == "none" else f", compiled ({self.compile})"
        return f"{self.precision}{compiled}{', graph' if self.graph == 'auto' else ''}"


class Speed:
    """The trainings of one network, on the same number of images."""

    def __init__(self, part: Part, course: Course) -> None:
        self.part = part
        shape = course.shape if course == FASTGRNN else (3, 32, 32)
        self.course = replace(course, batch_size=2, shape=shape) if part.is_tiny else course
        self.steps = 2 if part.is_tiny else STEPS[course.model]
        self.epochs = 2 if part.is_tiny else 1 + TIMED_EPOCHS
        self.macs = sum(count_macs(self._network(), self.course.shape).values())
        path = _ceilings_file(part)
        self.ceilings: dict[str, float] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def _network(self) -> torch.nn.Module:
        course = self.course
        return create_model(course.model, num_classes=course.num_classes, input_shape=course.shape)

    def note(self, name: str, way: Way, seconds: float, said: str = "") -> float:
        """A row for an epoch that took so long; returns images a second."""
        rate = self.steps * self.course.batch_size / seconds
        ceiling = self.ceilings.get(way.precision)
        share = f"{6 * self.macs * rate / 1e12 / ceiling:.0%}" if ceiling else "unmeasured share"
        peak = memory.peak(self.part.device) / 1e9
        found = f"{rate:,.0f} images/s, {share} of the card's product, peak {peak:.2f} GB{said}"
        self.part.row(f"{self.course.model}, {name}, {way}", found)
        return rate

    def ours(self, way: Way, *, with_shares: bool = False) -> float:
        """The suite's training, masked at 90 %."""
        course, device = self.course, self.part.device
        set_precision(way.precision)
        memory.reset_peak(device)
        split = split_of(course, *drawn(course, self.steps * course.batch_size))
        ends, log = list[float](), GraphLog(way.graph)
        recipe = Recipe(
            epochs=self.epochs, batch_size=course.batch_size, lr=1e-3, nesterov=True, precision=way.precision
        )

        def note_end(*_: object) -> None:
            settle(device)
            ends.append(time.perf_counter())

        training, _ = our_training(course, split, recipe, way.compile, device, log)
        training.run_round(0, 0, note_end)
        seconds = sorted(end - begin for begin, end in itertools.pairwise(ends))[(self.epochs - 1) // 2]
        rate = self.note("ours", way, seconds, f", {log}" if way.graph == "auto" else "")
        if with_shares:
            self._shares(way, training.pruner, split, seconds)
        return rate

    def _shares(self, way: Way, pruner: Any, split: ResidentSplit, seconds: float) -> None:
        asked = {"device": self.part.device, "order": torch.Generator().manual_seed(0), "augment": True}
        data = self.part.seconds(lambda: collections.deque(split.batches(self.course.batch_size, **asked), maxlen=0))
        masks = self.part.seconds(lambda: [pruner.on_weights(0, None) for _ in range(self.steps)])
        for what, taken, limit in (("data", data, 0.05), ("masks", masks, 0.03)):
            share = taken / seconds
            what = f"{self.course.model}, share of {what}, {way}"
            self.part.gpu_row(what, f"{share:.1%}", f"< {limit:.0%}", share < limit, is_hard=False)

    def plain(self, way: Way) -> float:
        """The best known plain loop, on one batch that stays."""
        device = self.part.device
        set_precision(way.precision)
        memory.reset_peak(device)
        course = self.course
        step = one_batch_step(
            self._network().to(device), course.shape, course.num_classes, course.batch_size, way.precision == "bfloat16"
        )
        if way.graph == "auto":
            recorder = CudaRecorder(device)
            for _ in range(3):
                recorder.warm_up(step)
            _, replay = recorder.record(step)
        else:
            replay = step
        seconds = self.part.seconds(lambda: [replay() for _ in range(self.steps)])
        return self.note("a plain loop on one batch", way, seconds)


def network(part: Part, course: Course) -> None:
    """Every precision, with a graph and without, beside plain loops."""
    is_cuda, speed, rates = part.device.type == "cuda", Speed(part, course), dict[str, list[float]](ours=[], plain=[])
    low, graphed = Way("bfloat16"), Way("bfloat16", "auto")
    for way in (low, graphed, *([Way("tf32")] if is_cuda else []), Way("float32")):
        with part.guarded(f"{course.model}, ours, {way}"):
            rates["ours"].append(speed.ours(way, with_shares=way == low))
    for way in (low, graphed) if is_cuda else (low,):
        with part.guarded(f"{course.model}, a plain loop, {way}"):
            rates["plain"].append(speed.plain(way))
    best = [max(found, default=0.0) for found in rates.values()]
    ratio = best[0] / best[1] if best[1] else 0.0
    what = f"{course.model}, ours over the plain loop, the best of each"
    part.gpu_row(what, f"{ratio:.2f}", "> 0.9", ratio > 0.9, is_hard=False)


def recurrent(part: Part) -> None:
    """FastGRNN, whose steps are thousands of launches."""
    speed = Speed(part, FASTGRNN)
    for way in (Way("float32"), Way("float32", "auto")):
        with part.guarded(f"fastgrnn, ours, {way}"):
            speed.ours(way)


def compiled(part: Part) -> None:
    """torch.compile takes a minute, so this is the last part."""
    if part.is_tiny:
        part.row("resnet-32, compiled", "not measured: compiling takes a minute")
        return
    for mode in ("default", "reduce-overhead"):
        with part.guarded(f"resnet-32, compiled ({mode})"):
            Speed(part, RESNET_32).ours(Way("bfloat16", compile=mode))


def select(part: Part) -> None:
    """The k-th of the scores of a ResNet-50, by the suite and by torch; and its masks, equal to those of the CPU."""
    num_weights = 10_000 if part.is_tiny else WEIGHTS
    found = set()
    for way in (*selection.WAYS, selection.MASKS):
        with part.guarded(f"selection, {way}"):
            selection.measure(way, num_weights, 0.9, part.device)
            measured = selection.measure(way, num_weights, 0.9, part.device)
            ms, size = measured["seconds"] * 1e3, measured["bytes"] / 1e6
            what, shown = f"selection, {way}", f"{ms:.2f} ms of {num_weights:,} scores, {size:.0f} MB"
            if way == selection.MASKS:
                part.gpu_row(what, shown, "< 10 ms", ms < 10, is_hard=False)
            else:
                found.add(measured["found"])
                part.row(what, shown)
    part.row("selection, values found", f"{len(found)}", "1: all ways agree", len(found) == 1, is_hard=True)
    scores = torch.randn(num_weights).abs().bfloat16().float()  # with ties
    kept = num_kept(num_weights, 0.9)
    (ours,), (theirs,) = keep_largest_of([scores.to(part.device)], kept), keep_largest_of([scores], kept)
    is_same = torch.equal(ours.cpu(), theirs)
    found = "the same" if is_same else "others"
    part.gpu_row("selection, masks on the GPU and on the CPU, with ties", found, "the same", is_same)


def packed(part: Part) -> None:
    """Trainings of ResNet-20 by several processes at once, which is what `run --jobs` does on one card."""
    course = replace(RESNET_20, batch_size=4) if part.is_tiny else RESNET_20
    num_images = course.batch_size * (2 if part.is_tiny else 40)
    made = Entry("ours", course, num_images, 1, "float32", "none", part.device)
    most, first = 2 if part.is_tiny else 8, 0.0
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(most) as pool:
        ways = [stack.enter_context(OwnProcess(made)) for _ in range(most)]
        list(pool.map(lambda way: way(), ways))
        for jobs in (each for each in (1, 2, 4, 8) if each <= most):
            begin = time.perf_counter()
            list(pool.map(lambda way: [way() for _ in range(TIMED_EPOCHS)], ways[:jobs]))
            rate = jobs * TIMED_EPOCHS * num_images / (time.perf_counter() - begin)
            first = first or rate
            hours = rate * 3600 / CIFAR_RUN
            found = f"{rate:,.0f} images/s, {hours:.3g} runs of 160 epochs an hour, {rate / first:.2f}x"
            part.row(f"resnet-20, {jobs} process(es) on the device", found)
