"""The spread of a mean over seeds: sample standard deviation or Student-t interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..api.errors import unknown
from .paired import sample_std, t_interval

Stat = Literal["std", "ci"]
STATS: dict[Stat, str] = {
    "std": "sample standard deviation",
    "ci": "half the width of the 95 % Student-t interval",
}


def check_stat(stat: str) -> Stat:
    """The statistic of that name. Raises UserError for a name that is not in STATS."""
    for known in STATS:
        if stat == known:
            return known
    raise unknown("stat", stat, STATS)


def spread(values: Sequence[float], stat: Stat) -> float | None:
    """In the unit of the values; None for fewer than two."""
    return sample_std(values) if stat == "std" else t_interval(values).half_width
