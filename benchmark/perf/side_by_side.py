"""Time several ways of doing the same work in turns, so that a busy machine is busy for all of them alike."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from ..provenance import device_facts


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


def machine() -> str:
    """One line: what the numbers were measured on."""
    facts = device_facts(torch.device("cpu"))
    return f"{facts['device_name']}, {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}"


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(markdown_row(line) for line in (headings, ["---"] * len(headings), *rows))


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a table that is printed as it grows."""
    return f"| {' | '.join(cells)} |"
