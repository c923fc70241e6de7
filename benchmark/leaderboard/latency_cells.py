"""Latency in a leaderboard's table: the fastest measured way to compute the pruned network, at its smallest batch."""

from __future__ import annotations

from collections.abc import Sequence

from ..runs.latency_variants import VARIANTS
from ..tables.table import Cell, Column
from .schema import Latency
from .settings import Row

COLUMNS = (Column(heading="latency (ms)", measure="latency"), Column(heading="x dense", measure="speed-up"))
NOTHING = "Latency is empty: nothing was measured of these runs (`prunebench latency` does it)."
SOME = (
    "Latency: median milliseconds of a call with the smallest batch, of the fastest way to compute the pruned network "
    "in float32; x dense: how many times as fast as the dense network by torch on the same machine. From least to most "
    "over the runs of a row; empty where nothing was measured."
)
SAME_OUTPUTS = tuple(
    name for name in VARIANTS if not name.startswith("dense") and "half" not in name and "int8" not in name
)
"""Variants that give the outputs whose accuracy the table shows."""


def sentence(rows: Sequence[Row]) -> str:
    machines = dict.fromkeys(each.machine for row in rows for each in _times(row))
    return f"{SOME} Measured on {'; '.join(machines)}." if machines else NOTHING


def cells(row: Row) -> tuple[Cell, Cell]:
    """Milliseconds and speed-up; a row that is measured on several machines has one range for each."""
    by_machine: dict[str, list[Latency]] = {}
    for result in row.results:
        fastest: dict[str, Latency] = {}
        for each in _smallest(result.measured.latency if result.measured else ()):
            if each.machine not in fastest or each.p50 < fastest[each.machine].p50:
                fastest[each.machine] = each
        for machine, each in fastest.items():
            by_machine.setdefault(machine, []).append(each)
    times = [[1e3 * each.p50 for each in found] for found in by_machine.values()]
    ratios = [
        [each.dense_p50 / each.p50 for each in found if each.dense_p50 and each.p50] for found in by_machine.values()
    ]
    return _cell(times, 3), _cell([found for found in ratios if found], 2)


def _times(row: Row) -> list[Latency]:
    return [each for result in row.results if result.measured for each in result.measured.latency]


def _smallest(times: Sequence[Latency]) -> list[Latency]:
    known = [each for each in times if each.variant in SAME_OUTPUTS]
    batch = min((each.batch for each in known), default=0)
    return [each for each in known if each.batch == batch]


def _cell(groups: list[list[float]], digits: int) -> Cell:
    if not groups:
        return Cell()
    if len(groups) == 1 and f"{min(groups[0]):.{digits}f}" == f"{max(groups[0]):.{digits}f}":
        return Cell(value=groups[0][0], digits=digits)
    return Cell(text=" | ".join(f"{min(group):.{digits}f} to {max(group):.{digits}f}" for group in groups))
