"""One of two processes that train together, for the tests: `python ranks.py RESULTS RUNS`, with RANK set."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from prunebench.benchmark.api.masks import Masks
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.launch.worker import run_process
from prunebench.benchmark.runs.run import from_dict
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.training import distributed
from prunebench.slurm.processes import follow_in_job
from torch import nn


def lead(results: Path, runs: list[dict]) -> None:
    for plain in runs:
        ending = attempt(from_dict(plain), "s", settings_for(results))
        assert ending.outcome == "done", ending
    distributed.announce(None)


def settings_for(results: Path) -> Settings:
    return Settings(results=results, device="cpu", keep_weights=True)


def differing_masks() -> str:
    """What is said when the processes hold different masks; `same` when they hold equal ones."""
    masks = Masks(find_sites(nn.Sequential(nn.Linear(3, 2))))
    distributed.check_same(masks)
    kept = torch.ones(2, 3, dtype=torch.bool)
    kept[0, distributed.rank()] = False
    masks.set({"0.weight": kept})
    try:
        distributed.check_same(masks)
    except RuntimeError as error:
        return str(error)
    return "same"


def main(results: Path) -> None:
    if sys.argv[2] == "masks":
        with distributed.joined("cpu"):
            print(differing_masks())
    elif os.environ["RANK"] == "0":
        with distributed.joined("cpu"):
            lead(results, json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))
    else:
        follow_in_job("s", settings_for(results))


if __name__ == "__main__":
    # as workers and followers end: a normal exit waits for gloo's threads, which sometimes abort the process then
    run_process(main, Path(sys.argv[1]))
