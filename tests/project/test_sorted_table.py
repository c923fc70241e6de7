"""The sorted table of a study, from four methods worked by hand."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pandas as pd

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "sorted_table.py"


def run(label: str, target: float, accuracy: float, **changes: Any) -> dict[str, Any]:
    plain = {"label": label, "state": "done", "target": target, "sparsity": target, "accuracy_last": accuracy}
    return {**plain, "empty_layers": 0, "epochs_total": 7, "train_macs": 2e12, "train_macs_sparse": 1e12, **changes}


def test_rows_are_sorted_by_their_mean_and_say_what_is_special() -> None:
    rows = [
        run("Dense", 0.0, 0.9, epochs_total=4),
        run("Worse", 0.9, 0.5),
        run("Worse", 0.9, 0.7),
        run("Worse", 0.98, 0.1, empty_layers=2),
        run("Better", 0.9, 0.6, sparsity=0.89),
        run("Better", 0.98, 0.5),
        run("One column", 0.9, 0.95),
        run("Failed", 0.9, 0.99, state="failed"),
    ]
    lines = runpy.run_path(str(SCRIPT))["sorted_table"](pd.DataFrame(rows)).splitlines()
    assert lines[0] == "| Method | 90 % | 98 % | not pruned | epochs | training MACs (T) | zeros skipped (T) |"
    assert lines[2:] == [
        "| Better | 60.00 (at 89.0 %) | 50.00 |  | 7 | 2.000 | 1.000 |",
        "| Worse | 60.00 ± 14.14 | 10.00 (1 with an empty layer) |  | 7 | 2.000 | 1.000 |",
        "| One column | 95.00 |  |  | 7 | 2.000 | 1.000 |",
        "| Dense |  |  | 90.00 | 4 | 2.000 | 1.000 |",
    ]
