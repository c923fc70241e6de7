"""Seconds that tables, `export`, `plan` and `status` need for many results.

    python -m prunebench.benchmark.perf.read_results [--runs 10000] [--repeats 3] [--folder DIR]

A real result is copied under other ids, with other numbers and the layers of a ResNet-50. Each row of the printed
Markdown table is measured in new processes; files stay in the cache of the operating system, as between two commands.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..runs.run import Run, to_dict
from ..runs.store import Store
from ..studies.load import Study, load_study
from .side_by_side import machine, markdown, markdown_row, process_seconds

METHODS = "global_mp, snip, grasp, random, layerwise_mp"
SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.965, 0.98, 0.99)
RUNS_A_SEED = len(METHODS.split()) * len(SPARSITIES) + 1

SEED_STUDY = """\
name: seed
dataset: {name: digits, options: {limit: 100}}
model: convnet-small
seeds: [0]
train: {epochs: 1, batch_size: 50}
runs: [{method: global_mp, sparsity: 90%}]
"""


def study_text(num_runs: int) -> str:
    seeds = max(1, round(num_runs / RUNS_A_SEED))
    return f"""\
name: many
dataset: imagenet
model: resnet-50
seeds: {list(range(seeds))}
train: {{epochs: 100, batch_size: 256, lr: 0.1}}
runs:
  - method: dense
  - {{method: [{METHODS}], sparsity: [{", ".join(map(str, SPARSITIES))}]}}
"""


def real_result(folder: Path) -> dict[str, Any]:
    """The result of a small run, as the suite writes it."""
    study = folder / "seed.yaml"
    study.write_text(SEED_STUDY, encoding="utf-8")
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", str(study), "--results", str(folder / "seed")]
    subprocess.run(command, check=True, capture_output=True)
    path = next((folder / "seed" / "seed" / "runs").glob("*/result.json"))
    return json.loads(path.read_text(encoding="utf-8"))


def resnet_layers() -> list[dict[str, Any]]:
    """The layers of a dense ResNet-50, in the keys of a result."""
    import torch

    from ..api.masks import find_sites
    from ..models.count_macs import count_macs
    from ..models.registry import create_model

    shape = (3, 224, 224)
    with torch.device("meta"):
        model = create_model("resnet-50", num_classes=1000, input_shape=shape)
    macs = count_macs(model, shape)
    return [
        {"name": site.name, "shape": list(site.weight.shape), "total": site.weight.numel(),
         "kept": site.weight.numel(), "density": 1.0, "zeros_kept": 0, "macs": macs[site.name]}
        for site in find_sites(model)
    ]  # fmt: skip


def make_store(folder: Path, num_runs: int) -> Path:
    """Write a study and a result for each of its runs; returns the study's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "many.yaml"
    path.write_text(study_text(num_runs), encoding="utf-8")
    study, store = load_study(str(path)), Store(folder / "results")
    template, layers = real_result(folder), resnet_layers()
    draw = random.Random(0)
    for run in study.runs:
        result_path = store.folder(study.name, run).result_path
        result_path.parent.mkdir(parents=True)
        result_path.write_text(json.dumps(_result(template, layers, run, draw), indent=1) + "\n", encoding="utf-8")
    return path


def _result(template: dict[str, Any], layers: list[dict[str, Any]], run: Run, draw: random.Random) -> dict[str, Any]:
    made = copy.copy(template) | {"id": run.id, "study": "many", "run": to_dict(run)}
    made["parent"] = run.parent.id if run.parent else None
    kept = [round(layer["total"] * (1 - run.sparsity) * draw.uniform(0.9, 1.0)) for layer in layers]
    made["layers"] = [
        {**layer, "kept": count, "density": count / layer["total"]}
        for layer, count in zip(layers, kept, strict=True)
    ]  # fmt: skip
    total = sum(layer["total"] for layer in layers)
    made["sparsity"] = template["sparsity"] | {"target": run.sparsity, "achieved": 1 - sum(kept) / total}
    made["accuracy"] = template["accuracy"] | {"last": 0.76 - 0.3 * run.sparsity**8 + draw.gauss(0, 0.002)}
    return made


def read_table(study: Study, store: Store) -> None:
    """The work of `prunebench table STUDY --kind accuracy`."""
    from ..analysis.frame import study_frame
    from ..tables.kinds import make_table, render

    render(make_table("accuracy", study, store, frame=study_frame(study, store)), "md")


def read_export(study: Study, store: Store) -> None:
    """The work of `prunebench export STUDY`."""
    from ..analysis.export import export_bytes
    from ..analysis.frame import study_frame

    export_bytes(study_frame(study, store), "csv")


def read_plan(study: Study, store: Store) -> None:
    """The work of `prunebench plan STUDY`."""
    from ..studies.cost import estimate
    from ..studies.plan import make_plan

    estimate(study, make_plan(study.name, study.runs, store), store)


def read_status(study: Study, store: Store) -> None:
    """The work of `prunebench status STUDY` where nothing was submitted to a cluster."""
    from ...slurm.status import overview

    overview(study.name, study.runs, store.root)


WORK: dict[str, Callable[[Study, Store], None]] = {
    "table": read_table,
    "export": read_export,
    "plan": read_plan,
    "status": read_status,
}


def fail_all(results: Path) -> None:
    """Turn every pruned run into one that failed."""
    attempt = {"host": "here", "outcome": "failed", "reason": "CUDA error: device-side assert", "retryable": False}
    for path in sorted((results / "many" / "runs").glob("*/result.json")):
        path.unlink()
        (path.parent / "attempts").mkdir()
        (path.parent / "attempts" / "0001.json").write_text(json.dumps(attempt), encoding="utf-8")


def measure(work: str, study: Path, results: Path, repeats: int) -> tuple[float, float]:
    """Medians of wall and processor seconds of new processes that do the work, their start and imports included."""
    command = [sys.executable, "-m", __spec__.name, "--one", work, "--study", str(study), "--results", str(results)]
    seconds = [process_seconds(command) for _ in range(repeats)]
    return statistics.median(wall for wall, _ in seconds), statistics.median(used for _, used in seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the results are made (and left); else a temporary one")
    for name in ("--one", "--study", "--results"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        WORK[arguments.one](load_study(arguments.study), Store(Path(arguments.results)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        study, results = make_store(folder, arguments.runs), folder / "results"
        print(f"{len(load_study(str(study)).runs)} results of ResNet-50, medians of {arguments.repeats}; {machine()}\n")
        print(markdown(["work", "seconds", "processor seconds"], []))
        for state in ("all runs done", "all pruned runs failed"):
            for work in WORK if state == "all runs done" else ("status", "table"):
                wall, used = measure(work, study, results, arguments.repeats)
                print(markdown_row([f"{work}, {state}", f"{wall:.2f}", f"{used:.2f}"]), flush=True)
            fail_all(results)


if __name__ == "__main__":
    main()
