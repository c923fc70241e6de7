"""A vision transformer in the harness: projections are pruned exactly, and products without a weight are recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prunebench.benchmark.analysis.frame import result_columns
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store

DENSE = Run(
    dataset="digits",
    model="vit-tiny",
    model_options=frozen_options({"depth": 1, "width": 0.125}),
    method="dense",
    seed=0,
    recipe=Recipe(epochs=1, batch_size=128, lr=1e-3, optimizer="adamw", weight_decay=0.05, warmup_epochs=1),
    validation=0.1,
)


@pytest.mark.parametrize(("method", "starts_dense"), [("global_mp", True), ("snip", False), ("dpf", False)])
def test_projections_of_attention_are_pruned(method: str, starts_dense: bool, tmp_path: Path) -> None:
    settings = Settings(results=tmp_path)
    run = replace(DENSE, method=method, sparsity=0.8, parent=DENSE if starts_dense else None)
    for each in (DENSE, run) if starts_dense else (run,):
        ending = attempt(each, "study", settings)
        assert ending.outcome == "done", ending.reason
    result = Store(tmp_path).folder("study", run).read_result()
    assert result is not None
    assert result["sparsity"]["kept"] == num_kept(result["sparsity"]["prunable"], 0.8)
    layers = {layer["name"]: layer for layer in result["layers"]}
    projection = layers["encoder.layers.encoder_layer_0.self_attention.in_proj_weight"]
    assert 0 < projection["kept"] < projection["total"] == 24 * 72
    # 2 x 2 patches of 4 x 4 pixels and the class token; a width of 3 heads of 8
    assert result_columns(result)["macs_products"] == 2 * 5**2 * 24
    assert result["macs"]["dense"] == 4 * 16 * 24 + 5 * 12 * 24**2 + 10 * 24
