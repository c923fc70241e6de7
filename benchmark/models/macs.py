"""Make `macs.json`: multiply-adds of one input for every network and data set that fit together.

    python -m prunebench.benchmark.models.macs

`plan` reads the table, since counting would load torch. A test compares every entry with the counter.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ...datasets.registry import dataset_names, describe
from ..errors import UserError
from ..flops import count_macs
from .registry import create_model, model_names

TABLE = Path(__file__).with_name("macs.json")


def count_all() -> dict[str, int]:
    """Multiply-adds by "model dataset"; pairs that do not fit are left out, and made-up data, whose shape is an option.

    On the meta device: nothing is computed.
    """
    table = {}
    for model_name in model_names():
        for dataset_name in set(dataset_names()) - {"synthetic"}:
            info = describe(dataset_name)
            try:
                with torch.device("meta"):
                    model = create_model(model_name, num_classes=info.num_classes, input_shape=info.input_shape)
            except UserError:
                continue
            table[f"{model_name} {dataset_name}"] = sum(count_macs(model, info.input_shape).values())
    return table


if __name__ == "__main__":
    TABLE.write_text(json.dumps(count_all(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
