"""The networks of a table, and how many of their parameters sparsity counts, for its caption."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..analysis.frame_type import Frame
from ..models.outside import name_outside

MAX_NAMED = 3
"""Most networks that are named; more are given as a range."""

COLUMNS = ("model", "dataset", "label", "prunable", "parameters", "outside")

Counts = tuple[int, int | None]
"""Prunable weights and all parameters of a network; None if only results of smaller networks are stored."""


@dataclass(frozen=True)
class _Network:
    counts: Counts
    names: tuple[str, ...]


def counts_phrase(frame: Frame) -> str:
    """`33,040 of 33,338 parameters`; several networks with their names, or as a range. Empty if nothing is stored.

    Every number of weights is beside the parameters of the same network.
    """
    # Thousands of results are of few networks.
    known = frame.loc[frame["prunable"].notna(), list(COLUMNS)].drop_duplicates()
    if known.empty:
        return ""
    counts = _counts(known)
    found = sorted(set(counts), key=lambda pair: (pair[0], pair[1] or 0))
    if len(found) == 1:
        return _phrase(found[0])
    networks = _named(known, counts) if len(found) <= MAX_NAMED else None
    if networks is None:
        return f"from {_phrase(found[0])} to {_phrase(found[-1])}, {len(found)} networks"
    return "; ".join(f"{', '.join(network.names)}: {_phrase(network.counts)}" for network in networks)


def outside_phrase(frame: Frame) -> str:
    """`Embedding.weight 10,000`: what no sparsity counts, the maximum over networks; empty if nothing is known."""
    most: dict[str, int] = {}
    for text in frame["outside"].dropna().unique():
        for name, size in json.loads(text).items():
            most[name] = max(size, most.get(name, 0))
    return name_outside(most)


def _counts(known: Frame) -> list[Counts]:
    """Those of each row. A result without `outside` is old and has the parameters of the finished network.

    That may be a smaller one than the network before pruning, so the largest of the same network is taken.
    """
    largest = known.groupby(["model", "dataset", "prunable"])["parameters"].transform("max")
    is_exact = known["outside"].notna()
    pairs = zip(known["prunable"], known["parameters"].where(is_exact, largest), strict=True)
    return [(int(prunable), int(total) if total >= prunable else None) for prunable, total in pairs]


def _phrase(counts: Counts) -> str:
    prunable, parameters = counts
    return f"{prunable:,} weights" if parameters is None else f"{prunable:,} of {parameters:,} parameters"


def _named(known: Frame, counts: list[Counts]) -> list[_Network] | None:
    """The networks by the first that tells them apart: model, data set, both, or the rows of the table."""
    for columns in (["model"], ["dataset"], ["model", "dataset"], ["label"]):
        groups: dict[str, set[Counts]] = {}
        for names, pair in zip(known[columns].itertuples(index=False), counts, strict=True):
            groups.setdefault(" on ".join(names), set()).add(pair)
        if all(len(found) == 1 for found in groups.values()):
            return _gathered({name: next(iter(found)) for name, found in groups.items()})
    return None


def _gathered(networks: dict[str, Counts]) -> list[_Network]:
    """Names by network; the network with most names is last, as 'the others' if it has several."""
    names: dict[Counts, list[str]] = {}
    for name, pair in networks.items():
        names.setdefault(pair, []).append(name)
    *first, (largest, others) = sorted(names.items(), key=lambda item: len(item[1]))
    rest = ("the others",) if len(others) > 1 else tuple(others)
    return [*(_Network(pair, tuple(group)) for pair, group in first), _Network(largest, rest)]
