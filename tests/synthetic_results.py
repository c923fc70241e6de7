"""Results for tests of tables and figures: written through the store, of the shape that the harness writes.

A test checks that a real run has all their keys, so that tables read nothing that the harness does not write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prunebench.benchmark.runs.files import SCHEMA, write_json
from prunebench.benchmark.runs.run import Run, to_dict
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.benchmark.tables.kinds import KINDS, OF_SOME

OF_ANY_STUDY = tuple(kind for kind in KINDS if kind not in (*OF_SOME, "latency"))
"""Tables that the results written here suffice for; that of latency needs what `prunebench latency` measures."""

LAYERS = (
    ("conv.weight", [8, 1, 3, 3], 72, 4608),
    ("mid.weight", [16, 8, 3, 3], 1152, 18432),
    ("out.weight", [10, 16], 160, 160),
)
"""Name, shape, weights and dense multiply-adds of each layer of an imagined network."""

STUDY = """\
name: small
title: A small study
question: Which is better?
dataset: digits
model: convnet-small
seeds: [0, 1, 2]
train: {epochs: 2, batch_size: 50, lr: 0.1}
finetune: {epochs: 3}
runs:
  - method: dense
  - method: [global_mp, snip, random]
    sparsity: [90%, 95%]
"""

PRINTED_STUDY = """\
name: beside
dataset: cifar10
model: wrn-28-8
seeds: [0, 1, 2]
train: {epochs: 2, lr: 0.1}
published: 2
runs:
  - method: dense
  - {method: [global_mp, snip, grasp], sparsity: [90%, 95%]}
"""
"""Of a table that is printed in the paper."""


def write_study(folder: Path, text: str = STUDY) -> Study:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return load_study(str(path))


def fill(store: Store, study: Study, accuracy: Callable[[Run], float | None]) -> None:
    """Store a result for every run for which `accuracy` gives a number."""
    for run in study.runs:
        value = accuracy(run)
        if value is not None:
            store_result(store, study.name, run, value)


def store_result(store: Store, study: str, run: Run, accuracy: float, **changes: Any) -> RunFolder:
    """Write a finished run; `changes` replace values, nested with double underscores: sparsity__achieved=0.8."""
    folder = store.folder(study, run)
    folder.create(run)
    result = make_result(study, run, accuracy)
    for key, value in changes.items():
        place: Any = result
        *path, last = key.split("__")
        for part in path:
            place = place[part]
        assert last in place, f"{key} is no key of a result"
        place[last] = value
    folder.history_path.write_text("", encoding="utf-8")
    for epoch in range(run.recipe.epochs):
        with folder.history_path.open("a", encoding="utf-8") as file:
            file.write(_history_line(epoch, accuracy, 1 - result["sparsity"]["achieved"], run.recipe.epochs))
    folder.write_attempt(1, {"host": "here", "pid": 1, "begin": 0.0, "end": 1.0, "outcome": "done", "reason": ""})
    write_json(folder.result_path, result)
    return folder


def store_failure(store: Store, study: str, run: Run, reason: str) -> RunFolder:
    """Write a run that failed for good."""
    folder = store.folder(study, run)
    folder.create(run)
    folder.write_attempt(
        1,
        {"host": "here", "pid": 1, "begin": 0.0, "end": 1.0, "outcome": "failed", "reason": reason, "retryable": False},
    )
    return folder


def _history_line(epoch: int, accuracy: float, density: float, epochs: int) -> str:
    import json

    reached = accuracy * (epoch + 1) / epochs
    record = {"round": 0, "epoch": epoch, "lr": 0.1, "train_loss": 1.0 - reached, "validation_accuracy": reached,
              "validation_loss": 1.0, "test_accuracy": reached, "test_top5": 1.0, "test_loss": 1.0,
              "density": density, "macs": 23200 * density}  # fmt: skip
    return json.dumps(record) + "\n"


def make_result(study: str, run: Run, accuracy: float) -> dict[str, Any]:
    """A result of uniform pruning of the imagined network."""
    density = 1 - run.sparsity
    layers = [
        {"name": name, "shape": shape, "total": total, "kept": round(total * density), "density": density,
         "zeros_kept": 0, "macs": macs}
        for name, shape, total, macs in LAYERS
    ]  # fmt: skip
    prunable, macs = sum(layer[2] for layer in LAYERS), sum(layer[3] for layer in LAYERS)
    cost = {"epochs": run.recipe.epochs, "macs": 3e9 * run.recipe.epochs, "sparse_macs": 3e9 * density}
    return {
        "schema": SCHEMA,
        "id": run.id,
        "study": study,
        "run": to_dict(run),
        "parent": run.parent.id if run.parent else None,
        "accuracy": {
            "before": 0.985, "pruned": 0.5, "last": accuracy, "last_top5": 1.0, "selected": accuracy - 0.001,
            "selected_top5": 1.0, "selected_epoch": 1, "selected_validation": accuracy, "best_test": accuracy + 0.002,
            "best_test_epoch": 1,
        },
        "loss": {"before": 2.3, "pruned": 2.3, "last": 0.1},
        "sparsity": {
            "target": run.sparsity, "achieved": run.sparsity, "of_pruned_layers": run.sparsity,
            "of_all_parameters": run.sparsity, "explored": None, "kept": round(prunable * density),
            "prunable": prunable, "parameters": prunable + 26, "layers_left_dense": [], "empty_layers": [],
            "smallest_layer_density": density, "smallest_layer": "mid.weight",
        },
        "macs": {"convention": "as counted", "dense": macs, "sparse": macs * density, "pruned": run.sparsity},
        "layers": layers,
        "cost": {
            **cost, "parent": {"epochs": 2, "macs": 6e9, "sparse_macs": 6e9} if run.parent else None, "seconds": 36.0,
            "train_seconds": 30.0, "evaluate_seconds": 1.0, "prune_seconds": 0.5, "mask_seconds": 0.25,
            "peak_memory_bytes": 5_000_000, "resumed": 0,
        },
        "data": {"fingerprint": "f", "train": 1000, "validation": 100, "test": 500},
        "provenance": {
            "changed_since_submission": None,
            "prunebench": "0.1.0", "revision": "abc", "python": "3.11", "packages": {"torch": "2"}, "host": "here",
            "platform": "Linux", "command": ["prunebench", "run"], "slurm": {}, "device": "cpu", "device_name": "A CPU",
            "instructions": "AVX2", "cuda": None, "cudnn": None, "tf32": None, "threads": 1, "deterministic": False,
            "processes": 1, "plugins": {}, "finished": 0.0, "code": None, "weights": {"start": None, "stored": None},
            "data_root": None,
        },
    }  # fmt: skip


def invented_keys(synthetic: Mapping[str, Any], real: Mapping[str, Any], place: str = "") -> list[str]:
    """Keys that only the synthetic result has; mappings with free keys (packages, plug-ins, run) are not compared."""
    invented = [f"{place}{key}" for key in synthetic.keys() - real.keys()]
    for key in synthetic.keys() & real.keys() - {"run", "packages", "plugins", "slurm"}:
        if isinstance(synthetic[key], dict) and isinstance(real[key], dict):
            invented += invented_keys(synthetic[key], real[key], f"{place}{key}.")
    return invented
