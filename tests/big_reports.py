"""Reports of many runs, and what a browser needs to show them.

    python tests/big_reports.py [--seeds 5 20] [--repeats 5]

Prints the processor seconds that pages of 100 runs per seed take to load: the fastest of several loads, in turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from browser import Page, browser
from prunebench.benchmark.report.page import Asked, html_report
from prunebench.benchmark.runs.store import Store
from synthetic_results import STUDY, fill, write_study

RUNS_A_SEED = 100


def write_report(folder: Path, seeds: int) -> Path:
    """A report of 100 runs for each seed, all of them done."""
    folder.mkdir()
    thresholds = [round(0.01 * i, 2) for i in range(1, 21)]
    text = STUDY.split("runs:")[0].replace("[0, 1, 2]", str(list(range(seeds)))) + (
        "runs:\n  - {method: global_mp, sparsity: [50%, 80%, 90%, 95%, 98%],"
        f" grid: {{minimum_threshold: {thresholds}}}}}\n"
    )
    study, store = write_study(folder, text), Store(folder / "results")
    # fsync of thousands of files would only take time here
    with mock.patch.object(os, "fsync"):
        fill(store, study, lambda run: 0.9 - run.sparsity / 10 + 0.001 * run.seed)
    path = folder / "report.html"
    path.write_text(html_report(study, store, Asked(study="study.yaml")), encoding="utf-8")
    return path


def seconds_to_load(page: Page, paths: Sequence[Path], repeats: int) -> list[float]:
    """Processor seconds of each page: the fastest of several loads, all pages in turns."""
    found: list[list[float]] = [[] for _ in paths]
    for _ in range(repeats):
        for path, seconds in zip(paths, found, strict=True):
            page.call("Performance.disable")
            page.call("Performance.enable", timeDomain="threadTicks")
            page.open(path)
            metrics = {m["name"]: m["value"] for m in page.call("Performance.getMetrics")["metrics"]}
            seconds.append(metrics["TaskDuration"])
    return [min(seconds) for seconds in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, browser(Path(name, "profile")) as page:
        paths = [write_report(Path(name, str(seeds)), seeds) for seeds in arguments.seeds]
        for seeds, seconds in zip(arguments.seeds, seconds_to_load(page, paths, arguments.repeats), strict=True):
            print(f"{seeds * RUNS_A_SEED:,} runs: {seconds:.2f} s")


if __name__ == "__main__":
    main()
