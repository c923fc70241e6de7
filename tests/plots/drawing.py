"""Accuracies and frames for tests of figures, and what a figure has drawn."""

from __future__ import annotations

from typing import Any

import pandas as pd
from prunebench.benchmark.runs.run import Run


def accuracy(run: Run) -> float:
    base = {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}.get(run.method, 0.9)
    return base + 0.002 * run.seed - (0.01 if run.sparsity > 0.9 else 0)


def line(axes: Any, label: str) -> tuple[list[float], list[float]]:
    found = next(line for line in axes.get_lines() if line.get_label() == label)
    return list(found.get_xdata()), list(found.get_ydata())


def over_settings(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    """The same results on `number` data sets."""
    return pd.concat([frame.assign(dataset=f"data {i}") for i in range(number)], ignore_index=True)


def title(figure: Any) -> str:
    """The title over all panels in one line."""
    return figure.get_suptitle().replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")


def all_legends(figure: Any) -> list[Any]:
    """Those of the figure and of its panels."""
    return [*figure.legends, *(legend for axes in figure.axes if (legend := axes.get_legend()))]


def legend_names(figure: Any) -> list[str]:
    """Every entry of every legend in one line."""
    return [entry.get_text().replace("\n", " ") for legend in all_legends(figure) for entry in legend.get_texts()]
