"""How to fill a machine with small runs: one process of one thread, one of two, or two of one.

    python -m prunebench.benchmark.perf.packing [--study demo] [--only seed=0] [--repeats 3]
    python -m prunebench.benchmark.perf.packing --device cuda --jobs 1,2,4,8

Computes the same runs of a study in new folders, one way after the other, by the command `prunebench run`: reading
data, starting workers and writing results are part of the time. Every repeat begins with another way and has its own
ratios to the first one. Prints medians: seconds, runs an hour, the ratio (with the least and the greatest), and the
seconds of start-up, from the command to the first attempt at a run, with their share of the whole. `a run` is the mean
time of one run by its own clock: if it grows with a second process, the processes compete for memory or clock speed,
and no scheduler can prevent that.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ..api.errors import UserError
from ..studies.load import load_study
from .command_line import Parser, positive
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


def command(study: str, folder: Path, device: str, jobs: int, *options: str) -> list[str]:
    """`prunebench run` as a command of its own."""
    fixed = [f"--results={folder}", f"--device={device}", f"--jobs={jobs}"]
    return [sys.executable, "-m", "prunebench.benchmark.cli", "run", study, *fixed, *options]


def measure(study: str, only: list[str], jobs: int, threads: int, folder: Path, device: str = "auto") -> Measured:
    options = [f"--threads={threads}", *(f"--only={key}" for key in only)]
    started, begin = time.time(), time.perf_counter()
    subprocess.run(command(study, folder, device, jobs, *options), check=True, capture_output=True)
    total = time.perf_counter() - begin
    attempts = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("attempts/*.json")]
    return Measured(
        runs=len(attempts),
        total=total,
        start=min(attempt["begin"] for attempt in attempts) - started,
        run=statistics.mean(attempt["end"] - attempt["begin"] for attempt in attempts),
    )


def measure_all(
    study: str, only: list[str], repeats: int, ways: dict[str, tuple[int, int]], device: str
) -> dict[str, list[Measured]]:
    """The measurements of each way, one for each repeat."""
    names = list(ways)
    found: dict[str, list[Measured]] = {name: [] for name in names}
    for index in range(repeats):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            jobs, threads = ways[name]
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(measure(study, only, jobs, threads, Path(folder), device))
    return found


def row(name: str, ways: list[Measured], reference: list[Measured]) -> list[str]:
    ratios = [way.rate / other.rate for way, other in zip(ways, reference, strict=True)]
    columns = zip(*((way.total, way.rate, way.run, way.start, way.start / way.total) for way in ways), strict=True)
    total, rate, run, start, share = (statistics.median(numbers) for numbers in columns)
    ratio = f"{statistics.median(ratios):.2f}x"
    if min(ratios) < max(ratios):
        ratio += f" ({min(ratios):.2f} to {max(ratios):.2f})"
    cells = [f"{total:.0f}", f"{rate:,.0f}", ratio, f"{run:.2f}", f"{start:.1f}", f"{share:.1%}"]
    return [name, str(ways[0].runs), *cells]


def _counts(text: str) -> list[int]:
    return [positive(number) for number in text.split(",") if number]


def main() -> None:
    parser = Parser(__doc__, "auto")
    parser.add_argument("--study", default="demo")
    parser.add_argument("--only", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=positive, default=3)
    parser.add_argument("--jobs", type=_counts, default="", help="comma-separated numbers of processes of one thread")
    arguments = parser.parse_args()
    try:
        runs = load_study(arguments.study, only=arguments.only).runs
    except UserError as error:
        parser.error(str(error))
    ways = {f"{number} process(es), 1 thread each": (number, 1) for number in arguments.jobs} or WAYS
    found = measure_all(arguments.study, arguments.only, arguments.repeats, ways, str(arguments.device))
    reference = next(iter(found.values()))
    what = " ".join(["Study", arguments.study, *arguments.only])
    how = f"{', '.join(sorted({run.recipe.precision for run in runs}))}, {len(os.sched_getaffinity(0))} cores"
    print(f"{what}, {how}, medians of {arguments.repeats}; {machine(arguments.device)}")
    headings = ["way", "runs", "seconds", "runs an hour", "ratio", "a run (s)", "start-up (s)", "share"]
    print("\n" + markdown(headings, [row(name, ways, reference) for name, ways in found.items()]))


if __name__ == "__main__":
    main()
