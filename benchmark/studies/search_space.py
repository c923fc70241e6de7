"""Values that a search may try for an option: a range of numbers, or a list of choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DIGITS = 3
"""Significant digits of a number that is drawn: enough to search with, and the same text on every machine."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `log`: evenly over their logarithms."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' * self.log}"


@dataclass(frozen=True)
class Choices:
    """Some values, each as likely as the others."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return ", ".join("null" if value is None else str(value) for value in self.values)


Space = Range | Choices


def read_space(value: Any) -> Space:
    """`{low: 1, high: 100, log: true}` or a list of choices. Raises ValueError for anything else."""
    if isinstance(value, list | tuple) and value:
        choices = tuple(tuple(each) if isinstance(each, list) else each for each in value)
        if len(set(map(repr, choices))) < len(choices):
            raise ValueError(f"the choices {value!r} hold one value twice")
        return Choices(choices)
    if isinstance(value, Mapping) and {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        return _range(value["low"], value["high"], value.get("log", False))
    raise ValueError(f"values are {value!r}; give {{low: ..., high: ..., log: true}} or a list of choices")


def _range(low: Any, high: Any, log: Any) -> Range:
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (low, high)):
        raise ValueError(f"low and high are {low!r} and {high!r}; they must be numbers")
    if not isinstance(log, bool):
        raise ValueError(f"log is {log!r}; it must be true or false")
    if not low < high < float("inf"):
        raise ValueError(f"low is {low:g} and high is {high:g}; low must be less")
    if log and low <= 0:
        raise ValueError(f"low is {low:g}; with log it must be above 0")
    return Range(low, high, log)


def draw(space: Space, share: float, is_whole: bool) -> Any:
    """The value below which `share` (from 0 to 1) of a space lies; a whole number where the option is one.

    By the inverse of the distribution, not by its own random numbers, which change with versions of scipy.
    """
    if isinstance(space, Choices):
        return space.values[int(share * len(space.values))]
    from scipy.stats import loguniform, uniform

    high = space.high + 1 if is_whole else space.high
    # not loguniform(low, high).ppf(share): scipy builds a class with its documentation for each such distribution
    found = loguniform.ppf(share, space.low, high) if space.log else uniform.ppf(share, space.low, high - space.low)
    value = float(found)
    if is_whole:
        return min(int(value), int(space.high))
    return min(max(float(f"{value:.{DIGITS}g}"), space.low), space.high)
