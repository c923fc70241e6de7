"""How to fill a machine with small runs: one process of one thread, one of two, or two of one.

    python -m prunebench.benchmark.perf.packing [--study demo] [--only seed=0]

Computes the same runs of a study in new folders, one way after the other, by `prunebench run` as a user calls it:
reading data, starting workers and writing results are part of the time. Prints runs an hour and the ratios, and the
share of start-up: seconds from the command to the first attempt at a run, and those in which no run was under way.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .side_by_side import machine, markdown

WAYS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}


def measure(study: str, only: list[str], jobs: int, threads: int, folder: Path) -> tuple[int, float, float]:
    """Runs, seconds in all, and seconds until the first run began."""
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", study, "--results", str(folder)]
    command += ["--jobs", str(jobs), "--threads", str(threads), *(part for key in only for part in ("--only", key))]
    started, begin = time.time(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    attempts = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("attempts/*.json")]
    return len(attempts), seconds, min(attempt["begin"] for attempt in attempts) - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="demo")
    parser.add_argument("--only", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    rows, rates = [], {}
    for name, (jobs, threads) in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            runs, seconds, start = measure(arguments.study, arguments.only, jobs, threads, Path(folder))
        rates[name] = runs / seconds * 3600
        ratio = rates[name] / rates["1 process, 1 thread"]
        rows.append(
            [name, str(runs), f"{seconds:.0f}", f"{rates[name]:,.0f}", f"{ratio:.2f}x", f"{start / seconds:.1%}"]
        )
    cores = len(os.sched_getaffinity(0))
    print(f"Study {arguments.study} {' '.join(arguments.only)}, {cores} cores; {machine()}\n")
    print(markdown(["way", "runs", "seconds", "runs an hour", "ratio", "start-up"], rows))


if __name__ == "__main__":
    main()
