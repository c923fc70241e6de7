"""The k-th magnitude of a network's weights: time and peak memory of the suite's selection beside torch's ways.

    python -m prunebench.benchmark.perf.selection [--weights 25502912] [--sparsity 0.9] [--repeats 5] [--device cpu]

Every way runs in a process of its own, so that its peak memory can be measured, and the processes take turns. All
answers must agree. The last row is the whole work of a method: exact masks of all layers from their scores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ...methods.parts.allocation import global_masks
from ..api.masks import kth_largest, num_kept
from ..training import memory
from .command_line import Parser, positive, sparsity
from .side_by_side import CPU, machine, markdown, settle

LAYERS = 54
MODULE = "prunebench.benchmark.perf.selection"

OURS = "ours"
WAYS: dict[str, Callable[[Tensor, int], float]] = {
    OURS: lambda flat, kept: float(kth_largest(flat.clone(), kept)),
    "torch.kthvalue": lambda flat, kept: float(flat.kthvalue(flat.numel() - kept + 1).values),
    "torch.topk": lambda flat, kept: float(flat.topk(kept, sorted=False).values.min()),
    "torch.sort": lambda flat, kept: float(flat.sort(descending=True).values[kept - 1]),
}
MASKS = "exact masks of all layers"


def measure(way: str, num_weights: int, sparsity: float, device: torch.device = CPU) -> dict[str, float]:
    """Seconds and extra peak bytes of one way, and the value it found."""
    torch.set_num_threads(1)
    flat = torch.randn(num_weights, generator=torch.Generator().manual_seed(0)).abs_().to(device)
    kept = num_kept(num_weights, sparsity)
    layers = {str(index): part.clone() for index, part in enumerate(flat.tensor_split(LAYERS))} if way == MASKS else {}
    kth_largest(torch.randn(1000, device=device), 10)  # loads libraries, so that their memory does not count
    settle(device)
    memory.reset_peak(device)
    before, begin = memory.peak(device), time.perf_counter()
    found, masks = 0.0, {}
    if layers:
        masks = global_masks(layers, kept)
    else:
        found = WAYS[way](flat, kept)
    settle(device)
    seconds = time.perf_counter() - begin
    assert not masks or sum(int(mask.sum()) for mask in masks.values()) == kept
    return {"seconds": seconds, "bytes": memory.peak(device) - before, "found": found}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--weights", type=positive, default=25_502_912, help="as many as ResNet-50 has")
    parser.add_argument("--sparsity", type=sparsity, default=0.9)
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.weights, arguments.sparsity, arguments.device)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in (*WAYS, MASKS)}
    for _ in range(arguments.repeats):
        for way, results in found.items():
            command = [sys.executable, "-m", MODULE, "--one", way, "--weights", str(arguments.weights)]
            command += ["--sparsity", str(arguments.sparsity), "--device", str(arguments.device)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout))
    values = {results[0]["found"] for way, results in found.items() if way != MASKS}
    if len(values) != 1:
        sys.exit(f"the ways disagree: {values}")
    medians = {way: statistics.median(result["seconds"] for result in results) for way, results in found.items()}
    ours = medians[OURS]
    rows = [
        [
            way,
            f"{medians[way] * 1e3:.0f}",
            f"{medians[way] / ours:.1f}x",
            f"{statistics.median(result['bytes'] for result in results) / 1e6:.0f}",
        ]
        for way, results in found.items()
    ]
    how = f"{arguments.weights:,} weights in float32, {arguments.sparsity:.0%}, medians of {arguments.repeats}"
    print(f"{how}; {machine(arguments.device)}\n")
    print(markdown(["way", "ms", "over ours", "extra memory (MB)"], rows))


if __name__ == "__main__":
    main()
