"""Make `macs.json`, `parameters.json` and `activations.json`: what every network counts on every data set that fits it.

These are multiply-adds, parameters, and the bytes that training keeps for the backward pass.

    python -m prunebench.benchmark.models.macs_table

`plan` reads the tables, since counting would load torch. A test compares every entry with the counters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from ...datasets.parts.info import DataSetInfo
from ...datasets.registry import DATASETS, describe
from ..api.errors import UserError
from .count_macs import count_macs
from .made_up_inputs import check_outputs
from .outside import count_parameters
from .registry import MODELS, sketch_model
from .saved_tensors import kept_bytes

TABLE = Path(__file__).with_name("macs.json")
SIZES_TABLE = Path(__file__).with_name("parameters.json")
ACTIVATIONS_TABLE = Path(__file__).with_name("activations.json")


def count_all() -> dict[str, int]:
    """Multiply-adds of one input by "model dataset"."""
    return {name: sum(count_macs(model, input_shape).values()) for name, model, input_shape in _networks()}


def size_all() -> dict[str, dict[str, Any]]:
    """Parameters, prunable ones and those outside the count, by "model dataset"."""
    return {name: asdict(count_parameters(model)) for name, model, _ in _networks()}


def keep_all() -> dict[str, dict[str, tuple[int, int]]]:
    """Bytes kept for the backward pass, a constant and for each sample, by "model dataset" and precision."""
    return {
        name: {
            precision: kept_bytes(model, {}, describe(dataset), precision=precision)
            for precision in ("float32", "bfloat16")
        }
        for name in size_all()
        for model, dataset in [name.split()]
    }


def _networks() -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    """Name, network and input shape; pairs that do not fit are left out, and made-up data, whose shape is an option."""
    for model_name in sorted(MODELS):
        for dataset_name in DATASETS.keys() - {"synthetic"}:
            info = describe(dataset_name)
            try:
                model = _build(model_name, {}, info)
                check_outputs(model_name, model, info)
            except UserError:
                continue
            yield f"{model_name} {dataset_name}", model, info.input_shape


def count_one(model_name: str, options: Mapping[str, Any], info: DataSetInfo) -> int:
    """Multiply-adds of one input of a data set; weights to start from do not matter.

    Raises UserError where network and data do not fit.
    """
    return sum(count_macs(_build(model_name, options, info), info.input_shape).values())


def _build(model_name: str, options: Mapping[str, Any], info: DataSetInfo) -> nn.Module:
    """The architecture, on the meta device: nothing is computed."""
    return sketch_model(
        model_name, num_classes=info.num_classes, input_shape=info.input_shape, reads_weights=False, **options
    )


if __name__ == "__main__":
    for path, table in ((TABLE, count_all()), (SIZES_TABLE, size_all()), (ACTIVATIONS_TABLE, keep_all())):
        path.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
