"""What computed the results of a row, and where a mean is over results of different code, versions or hardware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..runs.run_code import code_digest
from .schema import Provenance, Published
from .settings import Row

MIXED = "averages results of different code, versions or hardware"
OTHER = "computed with other versions or hardware than most rows of the table"


def facts_of(results: tuple[Published, ...]) -> dict[str, Counter[str]]:
    """Values of each fact, with the number of runs."""
    found: dict[str, Counter[str]] = {}
    for result in results:
        if result.measured is not None:
            for name, value in _facts(result.measured.provenance):
                found.setdefault(name, Counter())[value] += 1
    return found


def _facts(provenance: Provenance) -> Iterator[tuple[str, str]]:
    yield "prunebench", provenance.prunebench
    yield "revision", provenance.revision or "not from a checkout"
    yield "Python", provenance.python
    yield from provenance.packages.items()
    yield "device", provenance.device_name or "unknown"
    yield "threads", str(provenance.threads or "unknown")
    yield "processes", str(provenance.processes)
    yield "code of method and network", code_digest(provenance.code) or "not recorded"


COMPARED = ("prunebench", "torch", "device", "processes")
"""Facts in which a row is compared with the other rows of its table."""


def mixed(row: Row) -> str:
    """`torch 2.11.0 (2 runs), 2.14.1 (1 run)` for each fact with several values; empty if there is none.

    The code of one sparsity may differ from that of another only if the row mixes them as well.
    """
    return "; ".join(
        f"{name} {', '.join(f'{_short(value)} ({count})' for value, count in values.most_common())}"
        for name, values in facts_of(row.results).items()
        if len(values) > 1
    )


def _short(value: str) -> str:
    """A revision or a digest by its first digits."""
    digits, plus, rest = value.partition("+")
    return digits[:10] + plus + rest if len(digits) == 40 else value


def usual_facts(rows: list[Row]) -> dict[str, str]:
    """The value of each compared fact that most runs of a table have."""
    found = facts_of(tuple(result for row in rows for result in row.results))
    return {name: found[name].most_common(1)[0][0] for name in COMPARED if name in found}


def unusual(row: Row, usual: dict[str, str]) -> str:
    """`torch 2.11.0` where a whole row has another value than most; a row that mixes says that instead."""
    found = {name: list(values) for name, values in facts_of(row.results).items() if name in usual}
    return ", ".join(
        f"{name} {values[0]}" for name, values in found.items() if values != [usual[name]] and len(values) == 1
    )
