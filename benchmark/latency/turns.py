"""Time several ways of doing the same work in turns, so that other load on the machine slows all of them alike."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

WARMUP = 10
"""Turns that are not timed: kernels are chosen, memory is taken, caches fill."""

Clock = Callable[[], float]


def in_turns(
    ways: Mapping[str, Callable[[], object]], repeats: int, warmup: int = WARMUP, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each way in each repeat. A turn times a call of every way; every other turn goes in reverse.

    Before a timed call the same way is called once untimed: otherwise the caches hold what its neighbour has left, and
    a way of other kernels than its neighbours is up to twice as slow.
    """
    order = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in order}
    with _without_collections():
        for turn in range(warmup + repeats):
            for name in order if turn % 2 == 0 else reversed(order):
                ways[name]()
                begin = clock()
                ways[name]()
                end = clock()
                if turn >= warmup:
                    seconds[name].append(end - begin)
    return seconds


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """No garbage collection inside a timed call, as in `timeit`."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """`p50` and `p95`, between neighbouring values by linear interpolation."""
    p50, p95 = np.percentile(np.asarray(seconds), [50, 95])
    return {"p50": float(p50), "p95": float(p95)}
