"""Time several ways of doing the same work in turns, so that other load on the machine slows all of them alike."""

from __future__ import annotations

import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch

from ..runs.provenance import device_facts

CPU = torch.device("cpu")


def median_seconds(ways: Mapping[str, Callable[[], object]], repeats: int, warmup: int = 1) -> dict[str, float]:
    """Median wall seconds of each way, as `all_seconds` measures them."""
    return {name: statistics.median(values) for name, values in all_seconds(ways, repeats, warmup).items()}


def all_seconds(ways: Mapping[str, Callable[[], object]], repeats: int, warmup: int = 1) -> dict[str, list[float]]:
    """Wall seconds of each way in each repeat; every repeat calls all of them once, one after the other."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for index in range(warmup + repeats):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            if index >= warmup:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


Result = TypeVar("Result")


class OwnProcess(Generic[Result]):
    """A way of doing the work in a process of its own, so that its settings of the process do not affect other ways.

    `make` is called there once and returns the way. `make` and what the way returns must be picklable.
    """

    def __init__(self, make: Callable[[], Callable[[], Result]]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, make), daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self) -> Result:
        """Do the work once more. Raises EOFError if the process died of it; its traceback is on stderr."""
        self._pipe.send(None)
        return self._pipe.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join()


def _serve(pipe: Connection, make: Callable[[], Callable[[], object]]) -> None:
    way = make()
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(way())


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was given: a clock that is read before that times launches."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device = CPU) -> str:
    """The machine and the versions that the numbers were measured with, in one line; the card, where there is one."""
    facts = device_facts(CPU)
    parts = [f"{facts['device_name']} ({facts['instructions']})", platform.system()]
    parts += [f"Python {platform.python_version()}", f"torch {torch.__version__}"]
    if device.type == "cuda":
        card = device_facts(device)
        parts = [card["device_name"], f"CUDA {card['cuda']}, cuDNN {card['cudnn']}", *parts]
    return ", ".join(parts)


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(markdown_row(line) for line in (headings, ["---"] * len(headings), *rows))


def markdown_row(cells: Sequence[str]) -> str:
    """One line of a table, for tables that are printed line by line."""
    return f"| {' | '.join(cells)} |"
