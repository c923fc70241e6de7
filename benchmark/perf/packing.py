"""How to fill a machine with small runs: one process of one thread, one of two, or two of one.

    python -m prunebench.benchmark.perf.packing [--study demo] [--only seed=0]

Computes the same runs of a study in new folders, one way after the other, by `prunebench run` as a user calls it:
reading data, starting workers and writing results are part of the time. Prints runs an hour and the ratios, and the
seconds of start-up, from the command to the first attempt at a run, with their share of all. `a run` is the mean time
of one run by its own clock: where it grows with a second process, the processes share memory or clock speed, and no
scheduler could win it back.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .side_by_side import machine, markdown

WAYS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}


@dataclass(frozen=True)
class Measured:
    """Seconds: of the whole command, until its first run began, and of a run by its own clock (mean)."""

    runs: int
    total: float
    start: float
    run: float

    @property
    def rate(self) -> float:
        """Runs an hour."""
        return self.runs / self.total * 3600


def measure(study: str, only: list[str], jobs: int, threads: int, folder: Path) -> Measured:
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", study, "--results", str(folder)]
    command += ["--jobs", str(jobs), "--threads", str(threads), *(part for key in only for part in ("--only", key))]
    started, begin = time.time(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    total = time.perf_counter() - begin
    attempts = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("attempts/*.json")]
    return Measured(
        runs=len(attempts),
        total=total,
        start=min(attempt["begin"] for attempt in attempts) - started,
        run=statistics.mean(attempt["end"] - attempt["begin"] for attempt in attempts),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="demo")
    parser.add_argument("--only", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    rows: list[list[str]] = []
    first = 0.0
    for name, (jobs, threads) in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = measure(arguments.study, arguments.only, jobs, threads, Path(folder))
        first = first or found.rate
        rows.append(
            [name, str(found.runs), f"{found.total:.0f}", f"{found.rate:,.0f}", f"{found.rate / first:.2f}x",
             f"{found.run:.2f}", f"{found.start:.1f}", f"{found.start / found.total:.1%}"]
        )  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    print(f"Study {arguments.study} {' '.join(arguments.only)}, {cores} cores; {machine()}\n")
    print(markdown(["way", "runs", "seconds", "runs an hour", "ratio", "a run (s)", "start-up (s)", "share"], rows))


if __name__ == "__main__":
    main()
