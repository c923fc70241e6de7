"""Which networks stand behind a table, and how many of their parameters sparsity counts, for its caption."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .outside import name_outside
from .report_types import Frame

MAX_NAMED = 3
"""More networks than this are told as a range."""

COLUMNS = ("model", "dataset", "label", "prunable", "parameters", "outside")

Counts = tuple[int, int | None]
"""Prunable weights and all parameters of a network; None where only results of smaller networks are stored."""


@dataclass(frozen=True)
class _Network:
    counts: Counts
    names: tuple[str, ...]


def counts_phrase(frame: Frame) -> str:
    """`33,040 of 33,338 parameters`; of several networks each with its name, or the range. Empty if nothing is stored.

    Every number of weights stands with the parameters of the same network.
    """
    # Results by the thousand speak of few networks.
    known = frame.loc[frame["prunable"].notna(), list(COLUMNS)].drop_duplicates()
    if known.empty:
        return ""
    counts = [_counts(row, known) for _, row in known.iterrows()]
    found = sorted(set(counts), key=lambda pair: (pair[0], pair[1] or 0))
    if len(found) == 1:
        return _phrase(found[0])
    networks = _named(known, counts) if len(found) <= MAX_NAMED else None
    if networks is None:
        return f"from {_phrase(found[0])} to {_phrase(found[-1])}, {len(found)} networks"
    return "; ".join(f"{', '.join(network.names)}: {_phrase(network.counts)}" for network in networks)


def outside_phrase(frame: Frame) -> str:
    """`Embedding.weight 10,000`: what no sparsity counts, the most of any network; empty where nothing is known."""
    most: dict[str, int] = {}
    for text in frame["outside"].dropna().unique():
        for name, size in json.loads(text).items():
            most[name] = max(size, most.get(name, 0))
    return name_outside(most)


def _counts(row: Frame, known: Frame) -> Counts:
    """A result from before all were noted has the parameters of the finished network, which may be a smaller one."""
    prunable = int(row["prunable"])
    if isinstance(row["outside"], str):
        return prunable, int(row["parameters"])
    alike = known[["model", "dataset", "prunable"]].eq(row[["model", "dataset", "prunable"]]).all(axis=1)
    largest = int(known.loc[alike, "parameters"].max())
    return prunable, largest if largest >= prunable else None


def _phrase(counts: Counts) -> str:
    prunable, parameters = counts
    return f"{prunable:,} weights" if parameters is None else f"{prunable:,} of {parameters:,} parameters"


def _named(known: Frame, counts: list[Counts]) -> list[_Network] | None:
    """The networks by the least that tells them apart: the model, the data set, or the rows of the table."""
    for columns in (["model"], ["dataset"], ["model", "dataset"], ["label"]):
        groups: dict[str, set[Counts]] = {}
        for (_, row), pair in zip(known.iterrows(), counts, strict=True):
            groups.setdefault(" on ".join(row[columns]), set()).add(pair)
        if all(len(found) == 1 for found in groups.values()):
            return _gathered({name: next(iter(found)) for name, found in groups.items()})
    return None


def _gathered(networks: dict[str, Counts]) -> list[_Network]:
    """Names by network, the one of most names last, as 'the others' where it has several."""
    names: dict[Counts, list[str]] = {}
    for name, pair in networks.items():
        names.setdefault(pair, []).append(name)
    *first, (largest, others) = sorted(names.items(), key=lambda item: len(item[1]))
    rest = ("the others",) if len(others) > 1 else tuple(others)
    return [*(_Network(pair, tuple(group)) for pair, group in first), _Network(largest, rest)]
