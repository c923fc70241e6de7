"""Seconds that the quick commands take, beside Python alone and `import torch`.

    python -m prunebench.benchmark.perf.startup [--repeats 9]

Every repeat runs all commands in turn. Prints Markdown: medians of wall time and of processor time.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from .side_by_side import machine, markdown, process_seconds

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, arguments in COMMANDS.items():
            found[name].append(process_seconds([sys.executable, *arguments], check=False))
    rows = []
    for name, pairs in found.items():
        wall, used = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
        rows.append([f"`{name}`", f"{wall:.2f}", f"{used:.2f}"])
    print(f"Medians of {repeats} runs; {machine()}\n\n{markdown(['command', 'seconds', 'processor seconds'], rows)}")


if __name__ == "__main__":
    main()
