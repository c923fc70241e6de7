"""Seconds until the quick commands have answered, beside Python alone and beside `import torch`.

    python -m prunebench.benchmark.perf.startup [--repeats 9]

Every repeat runs all commands in turn, so that a busy machine is busy for all of them. Prints Markdown: medians of
wall time and of processor time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

CLI = ("-m", "prunebench.benchmark.cli")
COMMANDS: dict[str, tuple[str, ...]] = {
    "python -c pass": ("-c", "pass"),
    "python -c 'import torch'": ("-c", "import torch"),
    "prunebench --help": (*CLI, "--help"),
    "prunebench list": (*CLI, "list"),
    "prunebench list models": (*CLI, "list", "models"),
    "prunebench list studies": (*CLI, "list", "studies"),
    "prunebench table --help": (*CLI, "table", "--help"),
    "prunebench plan demo": (*CLI, "plan", "demo"),
    "prunebench plan demo --only nonsense": (*CLI, "plan", "demo", "--only", "nonsense"),
}


def measure(arguments: tuple[str, ...]) -> tuple[float, float]:
    """Wall and processor seconds of a Python with these arguments."""
    begin, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begin, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, arguments in COMMANDS.items():
            found[name].append(measure(arguments))
    print(f"Medians of {repeats} runs\n\n| command | seconds | processor seconds |\n|---|---|---|")
    for name, pairs in found.items():
        wall, used = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
        print(f"| `{name}` | {wall:.2f} | {used:.2f} |")


if __name__ == "__main__":
    main()
