"""Check the suite on this machine's GPU: is it right, does it wait, how fast is it? Prints a table.

    python -m prunebench.benchmark.perf.gpu_check [--minutes 6] [--only methods,select] [--output FILE]
    python -m prunebench.benchmark.perf.gpu_check --device cpu --tiny

Every row says what was found, what is wanted, and yes or no; NO is a row that must be yes, and makes the exit code 1.
Each part is a process of its own, so that one that crashes or hangs costs its own rows. What must be right comes
first, side by side; then what is timed, alone on the card, the most important first. A part has a share of the time
that is left, and a part that needs less leaves the rest to those after it. `--device cpu --tiny` tries the code itself
with a few steps of everything: it says nothing of a GPU.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ..command_line import Parser, several
from ..side_by_side import machine, markdown
from . import fast, right
from .part import Part, Row, read_rows

STAGES: tuple[tuple[float, dict[str, Callable[[Part], None]]], ...] = (
    (20, {"card": fast.card}),
    (
        120,
        {f"methods{shard}": functools.partial(right.methods, shard=shard) for shard in range(right.SHARDS)}
        | {"demo": right.demo, "killed": right.killed, "nccl": right.nccl},
    ),
    (40, {"resnet-32": functools.partial(fast.network, course=fast.RESNET_32)}),
    (20, {"select": fast.select}),
    (40, {"wrn-28-8": functools.partial(fast.network, course=fast.WRN_28_8)}),
    (50, {"packed": fast.packed}),
    (20, {"fastgrnn": fast.recurrent}),
    (40, {"resnet-50": functools.partial(fast.network, course=fast.RESNET_50)}),
    (60, {"compiled": fast.compiled}),
)
"""The weight of a share of the time, and the parts that run in it, side by side."""
PARTS = {name: work for _, parts in STAGES for name, work in parts.items()}


def start(name: str, folder: Path, arguments: argparse.Namespace) -> subprocess.Popen[bytes]:
    """The process of a part. It leads a process group, so that what it started ends with it."""
    command = [sys.executable, "-m", "prunebench.benchmark.perf.gpu_check", "--part", name, "--folder", str(folder)]
    command += ["--device", str(arguments.device), *(["--tiny"] if arguments.tiny else [])]
    # cuBLAS is deterministic only with a workspace of its own
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def ending(what: str, process: subprocess.Popen[bytes], log: Path, deadline: float) -> list[Row]:
    """Wait for a part, to the deadline. A row where it did not come to its end."""
    try:
        code = process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return [Row(what, "not measured to the end: its time is over", "ends")]
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""]
    return [Row(what, f"exit code {code}: {lines[-1][:200]}", "ends", False, is_hard=True)] if code else []


def measure(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    """The rows of all parts that are wanted, in the order of the parts."""
    left_out = {"methods1", "methods2", "methods3"} if arguments.tiny else set[str]()
    wanted = {name for name in PARTS if {name, name.rstrip("0123456789")} & {*arguments.only}} - left_out
    stages = [(weight, names) for weight, parts in STAGES if (names := [name for name in parts if name in wanted])]
    if arguments.device.type == "cpu":  # whose cores are fewer: one after the other
        stages = [(weight, [name]) for weight, names in stages for name in names]
    end, rows = time.monotonic() + 60 * arguments.minutes, list[Row]()
    for index, (weight, names) in enumerate(stages):
        now = time.monotonic()
        deadline = now + (end - now) * weight / sum(other for other, _ in stages[index:])
        running = {name: start(name, folder, arguments) for name in names}
        endings = [ending(f"part {name}", part, folder / f"{name}.log", deadline) for name, part in running.items()]
        for name, last in zip(names, endings, strict=True):
            rows += [*read_rows(folder / f"{name}.jsonl"), *last]
        print(f"{', '.join(names)}: {time.monotonic() - now:.0f} s", file=sys.stderr, flush=True)
    return rows


def report(rows: list[Row], arguments: argparse.Namespace) -> str:
    tried = " Tried without a GPU: it says nothing of one." if arguments.device.type == "cpu" else ""
    counts = (f"{sum(row.is_right is value for row in rows)} {word}" for value, word in ((True, "yes"), (False, "no")))
    unmeasured = sum("not measured" in row.found for row in rows)
    head = f"{datetime.now(UTC):%Y-%m-%d}, {machine(arguments.device)}.{tried}"
    table = markdown(["what", "found", "wanted", "yes or no"], [row.cells for row in rows])
    return f"{head}\n\n{table}\n\n{', '.join(counts)}, {unmeasured} not measured."


def main() -> None:
    parser = Parser(__doc__, "cuda")
    parser.add_argument("--minutes", type=float, default=6.0, help="for all parts together")
    parser.add_argument("--only", type=several(["methods", *PARTS]), default="", help="comma-separated parts")
    parser.add_argument("--tiny", action="store_true", help="a few steps of everything, to try the code itself")
    parser.add_argument("--output", type=Path, help="a Markdown file for the table, such as docs/gpu-H100.md")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        path = arguments.folder / f"{arguments.part}.jsonl"
        PARTS[arguments.part](Part(path, arguments.device, arguments.tiny))
        return
    with TemporaryDirectory() as folder:
        rows = measure(Path(folder), arguments)
    text = report(rows, arguments)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    sys.exit(any(row.fails for row in rows))


if __name__ == "__main__":
    main()
