"""Measured latency for tests of tables and figures: written as the measurement writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from prunebench.benchmark.runs.files import write_json
from prunebench.benchmark.runs.latency_files import Machine, latency_path, write_latency
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store

MACHINE: Machine = {
    "device": "cpu", "device_name": "A CPU", "processor": "A CPU", "instructions": "AVX2", "threads": 1,
    "torch": "2.14.1", "onnxruntime": "1.32.0", "cuda": None,
}  # fmt: skip
WEIGHTS = "0" * 64


def keep_weights(store: Store, study: str, run: Run) -> None:
    """Let a synthetic result say that its weights were stored."""
    path = store.folder(study, run).result_path
    result = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**result, "files": {"model.safetensors": {"sha256": WEIGHTS, "bytes": 1}}})


def store_latency(
    store: Store,
    study: str,
    run: Run,
    milliseconds: Mapping[str, float],
    machine: Machine = MACHINE,
    left_out: Mapping[str, str] | None = None,
    **facts: Any,
) -> None:
    """Write a run's file: p50 of each variant at batch 1, ten times that at batch 8; p95 is twice the p50.

    `facts` are those of all variants, beside files of 4,000 bytes (INT8: 1,000).
    """
    keep_weights(store, study, run)
    variants = {
        name: {
            "times": [{"batch": batch, "p50": value * factor / 1e3, "p95": value * factor / 500, "joules": None}
                      for batch, factor in ((1, 1), (8, 10))],
            "file_bytes": 1000 if name == "int8-onnx" else 4000, "packed_bytes": None, "peak_memory_bytes": 2_000_000,
            "difference": 0.0, "accuracy": 0.9 if name == "int8-onnx" else None, **facts,
        }
        for name, value in milliseconds.items()
    }  # fmt: skip
    content = {"run": run.id, "weights": WEIGHTS, "machine": machine, "batches": [1, 8], "repeats": 100,
               "variants": variants, "left_out": dict(left_out or {}), "provenance": {"finished": 0.0}}  # fmt: skip
    write_latency(latency_path(store.root, study, run.id, machine), content)
