"""One table of a whole study from its tidy export: rows sorted by accuracy, with the cost of their training.

prunebench export zoo-fashion -o runs.csv && python tools/sorted_table.py runs.csv > sorted.md
"""

from __future__ import annotations

import sys
from typing import Any

import pandas as pd
from prunebench.benchmark.analysis.frame_type import Frame

REACHED_WITHIN = 0.002
"""A row whose sparsity is further from its column's says so."""


def sorted_table(runs: Frame) -> str:
    """Markdown: a row for each label, by mean accuracy over the sparsities asked for; what is not pruned comes last.

    Rows that lack a sparsity are sorted by those they have and come after the complete ones.
    """
    done = runs[runs["state"] == "done"]
    targets = sorted(target for target in done["target"].unique() if target > 0)
    entries = [_entry(str(label), group, targets) for label, group in done.groupby("label", sort=False)]
    entries.sort(key=lambda entry: (entry["missing"], -entry["order"]))
    heading = ["Method", *(f"{target:.4g} %" for target in (100 * t for t in targets)), "not pruned"]
    heading += ["epochs", "training MACs (T)", "zeros skipped (T)"]
    lines = [heading, [":--", *["--:"] * (len(heading) - 1)], *(entry["cells"] for entry in entries)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _entry(label: str, group: Frame, targets: list[float]) -> dict[str, Any]:
    pruned = [group[group["target"] == target] for target in targets]
    means = [float(part["accuracy_last"].mean()) for part in pruned if len(part)]
    whole = group[group["target"] == 0]
    order = sum(means) / len(means) if means else float(whole["accuracy_last"].mean())
    costs = [f"{group['epochs_total'].mean():.3g}"]
    costs += [f"{group[column].mean() / 1e12:.3f}" for column in ("train_macs", "train_macs_sparse")]
    cells = [label, *(_accuracy(part) for part in [*pruned, whole]), *costs]
    return {"missing": len(targets) - len(means), "order": order, "cells": cells}


def _accuracy(runs: Frame) -> str:
    """Mean and sample standard deviation in percent; the sparsity where it is another one, and collapsed runs."""
    if runs.empty:
        return ""
    accuracy = 100 * runs["accuracy_last"]
    text = f"{accuracy.mean():.2f}" if len(runs) == 1 else f"{accuracy.mean():.2f} ± {accuracy.std():.2f}"
    reached = float(runs["sparsity"].mean())
    if abs(reached - float(runs["target"].iloc[0])) > REACHED_WITHIN:
        text += f" (at {100 * reached:.1f} %)"
    collapsed = int((runs["empty_layers"] > 0).sum())
    return f"{text} ({collapsed} with an empty layer)" if collapsed else text


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(sorted_table(pd.read_csv(sys.argv[1])), end="")


if __name__ == "__main__":
    main()
