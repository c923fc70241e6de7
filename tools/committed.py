"""The committed files of a study, read once: its done runs, and the record of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from prunebench.benchmark.analysis.export import read_export
from prunebench.benchmark.analysis.frame_type import Frame
from prunebench.benchmark.analysis.paired import sample_std
from prunebench.benchmark.exchange.records import read_record


class Unanswered(ValueError):
    """The stored results give no answer: a row is missing or not complete."""


@cache
def frame_of(folder: Path) -> Frame:
    """The runs of a folder that are done."""
    if not (folder / "runs.csv").exists():
        raise Unanswered(f"{folder.name} has no runs.csv in results/reference")
    frame = read_export(folder / "runs.csv")
    return frame[frame["state"] == "done"]


@cache
def pairs_of(folder: Path) -> Frame:
    """The pairs of retrainings of a folder, as `export --pairs` writes them."""
    import pandas as pd

    if not (folder / "pairs.csv").exists():
        raise Unanswered(f"{folder.name} has no pairs.csv in results/reference")
    return pd.read_csv(folder / "pairs.csv")


@cache
def record_of(folder: Path, run: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Result and epochs of a run."""
    path = folder / "runs" / f"{run}.json"
    if not path.exists():
        raise Unanswered(f"{folder.name} has no record of run {run}")
    return read_record(path)


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def std(values: Sequence[float]) -> float:
    """Sample standard deviation. Raises Unanswered for fewer than two values."""
    found = sample_std([float(value) for value in values])
    if found is None:
        raise Unanswered("a standard deviation needs two values")
    return found
