"""Make `macs.json`: multiply-adds of one input for every network and data set that fit together.

    python -m prunebench.benchmark.models.macs

`plan` reads the table, since counting would load torch. A test compares every entry with the counter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...datasets.info import DataSetInfo
from ...datasets.registry import dataset_names, describe
from ..errors import UserError
from ..flops import count_macs
from .registry import create_model, model_names

TABLE = Path(__file__).with_name("macs.json")


def count_all() -> dict[str, int]:
    """Multiply-adds by "model dataset", without pairs that do not fit and without made-up data of any shape."""
    table = {}
    for model_name in model_names():
        for dataset_name in set(dataset_names()) - {"synthetic"}:
            try:
                table[f"{model_name} {dataset_name}"] = count_one(model_name, {}, describe(dataset_name))
            except UserError:
                continue
    return table


def count_one(model_name: str, options: Mapping[str, Any], info: DataSetInfo) -> int:
    """Multiply-adds of one input of a data set; weights to start from do not matter.

    On the meta device: nothing is computed. Raises UserError where network and data do not fit.
    """
    architecture = {key: value for key, value in options.items() if key != "weights"}
    with torch.device("meta"):
        model = create_model(model_name, num_classes=info.num_classes, input_shape=info.input_shape, **architecture)
    return sum(count_macs(model, info.input_shape).values())


if __name__ == "__main__":
    TABLE.write_text(json.dumps(count_all(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
