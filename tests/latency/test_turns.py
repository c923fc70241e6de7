"""Ways are called in turns, forwards and backwards, and what a call took is counted for that call."""

from __future__ import annotations

import gc

import pytest
from prunebench.benchmark.latency.turns import in_turns, quantiles


class Clock:
    """Stands still until a way moves it."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, list[str]()

    def __call__(self) -> float:
        return self.now

    def way(self, name: str, seconds: float) -> object:
        self.calls.append(name)
        self.now += seconds
        return None


def test_every_other_turn_is_in_reverse_and_calls_are_timed_with_caches_of_their_own() -> None:
    clock = Clock()
    ways = {"a": lambda: clock.way("a", 1.0), "b": lambda: clock.way("b", 2.0), "c": lambda: clock.way("c", 4.0)}
    seconds = in_turns(ways, repeats=3, warmup=1, clock=clock)
    assert "".join(clock.calls) == "aabbccccbbaaaabbccccbbaa"
    assert seconds == {"a": [1.0] * 3, "b": [2.0] * 3, "c": [4.0] * 3}


def test_a_drift_of_the_machine_is_the_same_for_all() -> None:
    """Each call takes longer than the one before it; over an even number of turns all ways see the same mean."""
    clock = Clock()

    def slower(name: str) -> object:
        return clock.way(name, float(len(clock.calls)))

    seconds = in_turns({"a": lambda: slower("a"), "b": lambda: slower("b")}, repeats=4, warmup=0, clock=clock)
    assert sum(seconds["a"]) == sum(seconds["b"]) == 32.0


def test_no_garbage_is_collected_inside_calls_and_the_collector_is_as_before() -> None:
    states: list[bool] = []
    in_turns({"a": lambda: states.append(gc.isenabled())}, repeats=2, warmup=0)
    assert states == [False] * 4
    assert gc.isenabled()


def test_quantiles_are_those_between_neighbours() -> None:
    found = quantiles([float(value) for value in range(101)])
    assert found == {"p50": pytest.approx(50.0), "p95": pytest.approx(95.0)}
    assert quantiles([3.0, 1.0]) == {"p50": pytest.approx(2.0), "p95": pytest.approx(2.9)}
